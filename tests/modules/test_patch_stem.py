"""Convolutions inside patches: by a slow twin, and that nothing crosses the border of a patch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_checks import count_weights
from fairseq_signals.modules.encoder_config import EncoderConfig

GRID = {"frontend": "lead_patch", "patch_samples": 20, "lead_encoding": "tokens", "position": "sincos_2d"}
SCALES = {"patch_stem": "side_by_side", "conv_feature_layers": "[(4, 3, 2), (6, 9, 2)]"}
IN_TURN = {"patch_stem": "in_turn", "conv_feature_layers": "[(4, 3, 1), (6, 9, 2)]"}
ALL_LEADS = {"frontend": "patch", "lead_encoding": "zeros", "position": "sincos"}
KINDS = [{**GRID, **SCALES}, {**GRID, **IN_TURN}, {**GRID, **SCALES, **ALL_LEADS}]


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny encoder, in evaluation mode."""

    def build(**options: object) -> ECGEncoder:
        torch.manual_seed(0)
        return ECGEncoder(EncoderConfig(**{**tiny, "layer_norm_first": True, **options})).eval()

    return build


@torch.no_grad()
@pytest.mark.parametrize("options", KINDS)
def test_each_patch_goes_through_the_convolutions_by_itself(make, ecg_batch, options):
    front_end, source = make(**options).feature_extractor, ecg_batch(2)
    x = source if options["frontend"] == "patch" else source.flatten(0, 1)[:, None]
    found = front_end(x)
    for patch in (0, 7):
        samples = x[:, :, 20 * patch : 20 * patch + 20]
        parts = []
        for conv in front_end.stem.convs:
            stride, padding = conv.stride[0], conv.kernel_size[0] // 2
            parts.append(F.gelu(F.conv1d(samples, conv.weight, conv.bias, stride, padding)))
            samples = parts[-1] if options["patch_stem"] == "in_turn" else samples
        told = parts[-1] if options["patch_stem"] == "in_turn" else torch.cat(parts, dim=1)
        assert torch.allclose(found[:, :, patch], front_end.projection(told.flatten(1)), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("options", KINDS)
def test_samples_of_a_patch_reach_its_token_alone(make, ecg_batch, options):
    encoder, source = make(**options), ecg_batch(1)
    changed = source.clone()
    changed[0, 3, 59] += 1  # the last sample of its patch
    differs = (encoder(source).latents - encoder(changed).latents).abs().amax(dim=2)[0]
    assert differs.nonzero().flatten().tolist() == [2 if options["frontend"] == "patch" else 3 * 16 + 2]


@pytest.mark.parametrize("options", KINDS)
def test_its_weights_are_counted(make, options):
    encoder, plain = make(**options), make(**{**options, "patch_stem": "none"})
    n, n_plain = (
        sum(p.numel() for p in model.feature_extractor.parameters() if p.dim() > 1)
        for model in (encoder, plain)
    )
    assert count_weights(encoder.cfg) - count_weights(plain.cfg) == n - n_plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({**GRID, **SCALES, "conv_feature_layers": "[(4, 4, 1)]"}, "needs odd kernels"),
        ({**GRID, **SCALES, "conv_feature_layers": "[(4, 3, 1), (4, 5, 2)]"}, "needs equal strides"),
        ({"patch_stem": "in_turn"}, "patch_stem is in patches"),
    ],
)
def test_what_makes_no_stem_is_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)
