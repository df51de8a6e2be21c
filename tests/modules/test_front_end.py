"""Front ends by name: what a token is, what is refused, and one of one's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules import front_end as front_ends
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.front_end import FrontEnd, Patches, patches_of, register_front_end

PATCH = {"frontend": "patch", "patch_samples": 20, "position": "sincos"}
LEAD_PATCH = {**PATCH, "frontend": "lead_patch", "lead_encoding": "tokens"}
LEAD = {**LEAD_PATCH, "frontend": "lead", "patch_samples": 320, "position": "none"}


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny encoder, in evaluation mode."""

    def build(**options: object) -> ECGEncoder:
        torch.manual_seed(0)
        return ECGEncoder(EncoderConfig(**{**tiny, "layer_norm_first": True, **options})).eval()

    return build


def test_samples_of_a_patch_stand_lead_after_lead():
    x = torch.sin(torch.arange(24.0) + 1).view(1, 2, 12)
    first = [0.841471, 0.909297, 0.141120, -0.756802, 0.420167, 0.990607, 0.650288, -0.287903]
    assert torch.allclose(patches_of(x, 4)[0, 0].flatten(), torch.tensor(first), atol=1e-6)


def test_numbers_of_a_token_of_all_leads_are_those_of_its_samples():
    x = torch.randn(2, 12, 2500)
    patches = patches_of(x, 25)
    assert patches.flatten(2).shape == (2, 100, 300)
    assert torch.equal(patches.flatten(2)[:, 7, 26], x[:, 1, 7 * 25 + 1])


def test_patches_are_a_strided_convolution():
    torch.manual_seed(0)
    patches, x = Patches(12, 25, 16), torch.randn(3, 12, 250)
    weight = patches.projection.weight.view(16, 12, 25)
    expected = F.conv1d(x, weight, patches.projection.bias, stride=25)
    assert torch.allclose(patches(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("lead", "sample", "token"), [(3, 130, 3 * 20 + 1), (0, 2499, 19), (1, 0, 20), (11, 2499, 239)]
)
def test_a_pulse_changes_the_token_of_its_lead_and_time_alone(make, lead, sample, token):
    encoder = make(**{**LEAD_PATCH, "patch_samples": 125})
    source = torch.randn(1, 12, 2500, generator=torch.Generator().manual_seed(1))
    changed = source.clone()
    changed[0, lead, sample] += 1
    differs = (encoder(source).latents - encoder(changed).latents).abs().amax(dim=2)[0]
    assert differs.nonzero().flatten().tolist() == [token]


@pytest.mark.parametrize(
    ("options", "tokens"),
    [(PATCH, 16), ({**PATCH, "lead_encoding": "tokens"}, 16), (LEAD_PATCH, 192), (LEAD, 12)],
)
def test_shapes_and_frames_in_time(make, ecg_batch, options, tokens):
    encoder, source = make(**options), ecg_batch(2)
    out = encoder(source)
    assert out.x.shape == (2, tokens, encoder.dim)
    n_frames = encoder.n_frames(320)
    assert encoder.in_time(out.x, source).shape == (2, n_frames, encoder.dim)
    last = list(encoder.each_layer(source))[-1]
    assert torch.allclose(last, encoder.in_time(out.x, source), atol=1e-6)


def test_tokens_of_absent_leads_are_left_out_and_say_nothing(make, ecg_batch):
    encoder, source = make(**LEAD_PATCH, separators=True, registers=2), ecg_batch(2)
    present = torch.zeros(2, 12, dtype=torch.bool)
    present[0, [1, 7]] = present[1, [0, 1, 2]] = True
    out = encoder(source, lead_present=present)
    assert out.x.shape[1] == 3 * 16
    assert out.extra.shape[1] == 2 + 2 * 3
    assert out.padding_mask.sum(dim=1).tolist() == [16, 0]
    other = encoder(torch.where(present[..., None], source, float("nan")), lead_present=present)
    kept = ~out.padding_mask
    assert torch.equal(out.x[kept], other.x[kept])
    alone = encoder(source[:1], lead_present=present[:1])
    assert torch.allclose(alone.x[0], out.x[0, :32], atol=1e-6)


def test_spans_are_of_all_tokens_whether_leads_are_absent_or_not(make, ecg_batch):
    encoder = make(**LEAD_PATCH, apply_mask=True, mask_prob=0.5, mask_length=3)
    present = torch.arange(12) < torch.tensor([[12], [5]])
    for leads in (None, present):
        out = encoder(ecg_batch(2), mask=True, lead_present=leads)
        assert out.span_mask.shape == out.x.shape[:2] == (2, 192)
        assert out.span_mask.any(dim=1).all()
        assert out.padding_mask is None or not (out.span_mask & out.padding_mask).any()


def test_leads_in_another_order_with_their_names_are_the_same(make, ecg_batch):
    encoder, source, order = make(**LEAD_PATCH), ecg_batch(2), torch.randperm(12)
    pooled = encoder(source).x.mean(dim=1)
    assert not torch.allclose(encoder(source[:, order]).x.mean(dim=1), pooled, atol=1e-4)
    with torch.no_grad():
        encoder.lead_names.vectors.copy_(encoder.lead_names.vectors[order].clone())
    assert torch.allclose(encoder(source[:, order]).x.mean(dim=1), pooled, atol=1e-5)


@pytest.mark.parametrize("options", [PATCH, {**PATCH, "registers": 1}, LEAD_PATCH])
def test_tokens_that_are_left_out_change_nothing(make, ecg_batch, options):
    encoder, source = make(**options), ecg_batch(2)
    n = encoder(source).x.shape[1]
    every = torch.arange(n).expand(2, -1)
    assert torch.allclose(encoder(source, keep=every).x, encoder(source).x, atol=1e-6)
    keep = torch.arange(1, n, 3).expand(2, -1)
    changed = source.clone()
    changed[:, :, :20] += (
        1  # of tokens 0, 16, ..., of which 16 and others may be kept where they are of leads
    )
    if not encoder.per_lead:
        assert torch.equal(encoder(source, keep=keep).x, encoder(changed, keep=keep).x)
    assert encoder(source, keep=keep).x.shape == (2, keep.shape[1], encoder.dim)


def test_padding_reaches_no_token_that_counts(make, ecg_batch):
    encoder, source = make(**PATCH), ecg_batch(2)
    padding = (torch.arange(320) >= torch.tensor([320, 150])[:, None]).clone()
    out = encoder(source, padding)
    assert out.padding_mask.sum(dim=1).tolist() == [0, 16 - 7]
    source[1, :, 160:] += 1
    assert torch.equal(encoder(source, padding).x[1, :7], out.x[1, :7])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"frontend": "wavelet"},
            r"model\.frontend must be one of conv, patch, lead_patch, lead, beat, but is 'wavelet'",
        ),
        ({**PATCH, "frontend": "lead_patch"}, r"model\.lead_encoding must be tokens"),
        ({**LEAD_PATCH, "position": "conv"}, r"model\.position=conv is of frames in time"),
        ({**PATCH, "position": "sincos_2d"}, r"sincos_2d needs tokens of each lead"),
        ({**PATCH, "separators": True}, r"model\.separators"),
        ({**LEAD_PATCH, "encoder_chunk": 2}, r"model\.encoder_chunk must be 0"),
        (
            {"input_norm": "fixed", "input_deviations": [1.0]},
            r"model\.input_deviations must be one a lead, 12",
        ),
        ({**PATCH, "patch_samples": 0}, r"model\.patch_samples must be"),
        ({"context": "s4", "s4_causal": True}, r"model\.position=conv looks ahead"),
        ({"context": "s4", "registers": 1}, r"model\.registers"),
    ],
)
def test_options_that_contradict_each_other_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_segments_that_patches_do_not_divide_are_refused_in_training(make):
    encoder = make(**PATCH).train()
    with pytest.raises(ConfigError, match=r"patch_samples is 20, which does not divide segments of 330"):
        encoder(torch.randn(1, 12, 330))
    assert encoder.eval()(torch.randn(1, 12, 330)).x.shape[1] == 16
    with pytest.raises(ConfigError, match=r"patch_samples is 320, but a lead of a segment has 330"):
        make(**LEAD)(torch.randn(1, 12, 330))


def test_left_out_tokens_need_positions_of_their_own(make, ecg_batch):
    with pytest.raises(ConfigError, match=r"model\.position=conv and model\.context=s4 need all frames"):
        make()(ecg_batch(1), keep=torch.tensor([[0]]))


def test_learnt_positions_end(make, ecg_batch):
    encoder = make(**{**PATCH, "position": "learned", "max_positions": 15})
    with pytest.raises(ConfigError, match=r"model\.max_positions is 15, but segments have 16 frames"):
        encoder(ecg_batch(1))


class Sums(nn.Module):
    """A front end of one's own: sums over stretches of 32 samples."""

    dim, stride = 8, 32

    def __init__(self, cfg: EncoderConfig, n_leads: int):
        super().__init__()
        self.map = nn.Linear(n_leads, self.dim)

    def n_frames(self, n_samples):
        return n_samples // self.stride

    def forward(self, x, leads=None):
        return self.map(x.unflatten(2, (-1, self.stride)).sum(dim=3).transpose(1, 2)).transpose(1, 2)


def test_a_front_end_of_ones_own(make, ecg_batch, monkeypatch):
    monkeypatch.setattr(front_ends, "_FRONT_ENDS", dict(front_ends._FRONT_ENDS))
    own = FrontEnd(Sums, weights=lambda cfg, n: 8 * n, width=lambda cfg: 8, normed=lambda cfg: True)
    register_front_end("sums", own)
    assert make(frontend="sums")(ecg_batch(2)).x.shape[:2] == (2, 10)
    with pytest.raises(ValueError, match="there is a front end 'sums' already"):
        register_front_end("sums", own)
