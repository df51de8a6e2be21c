"""The encoder as a whole: its frames, its masks, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny encoder."""

    def build(**options: object) -> ECGEncoder:
        torch.manual_seed(0)
        return ECGEncoder(EncoderConfig(**{**tiny, **options}))

    return build


def inputs_of(module: torch.nn.Module, run) -> torch.Tensor:
    """What `module` is given while `run()` runs."""
    seen: list = []
    hook = module.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    run()
    hook.remove()
    return seen[0]


def test_frames_are_those_of_front_end_projection_positions_and_transformer(make, ecg_batch):
    encoder, source = make(), ecg_batch()
    latents = encoder.feature_extractor(source).transpose(1, 2)
    normed = encoder.layer_norm(latents)
    x = encoder.post_extract_proj(normed)
    out = encoder(source)
    assert torch.allclose(out.x, encoder.encoder(x + encoder.conv_pos(x)), atol=1e-6)
    assert torch.equal(out.latents, normed)
    assert torch.allclose(out.feature_penalty, latents.pow(2).mean())
    assert out.padding_mask is None
    assert out.span_mask is None


def test_equal_widths_need_no_projection(make, ecg_batch):
    encoder = make(conv_feature_layers="[(16, 2, 2)] * 4")
    assert encoder.post_extract_proj is None
    assert encoder(ecg_batch()).x.shape == (4, 20, 16)


def test_a_frame_is_valid_if_all_its_samples_are(make, ecg_batch):
    encoder = make()
    lengths = torch.tensor([320, 319, 32, 31, 15])
    padding_mask = torch.arange(320) >= lengths[:, None]
    out = encoder(ecg_batch(5), padding_mask)
    assert (~out.padding_mask).sum(dim=1).tolist() == [20, 19, 2, 1, 0]
    assert bool(out.x.isfinite().all())


def test_padding_mask_without_padding_changes_nothing(make, ecg_batch):
    encoder, source = make(), ecg_batch()
    out = encoder(source, torch.zeros(4, 320, dtype=torch.bool))
    assert out.padding_mask is None
    assert torch.equal(out.x, encoder(source).x)


def test_transformer_sees_zeros_on_padded_frames(make, ecg_batch):
    encoder = make()
    padding_mask = (torch.arange(320) >= 160).expand(4, -1)
    x = inputs_of(encoder.encoder, lambda: encoder(ecg_batch(), padding_mask))
    assert not x[:, 10:].any()
    assert bool(x[:, :10].all())


def test_masked_frames_are_the_mask_embedding(make, ecg_batch):
    encoder, source = make(apply_mask=True), ecg_batch()
    spans = torch.rand(4, 20) < 0.4
    x = inputs_of(encoder.conv_pos, lambda: encoder(source, mask=True, spans=spans))
    unmasked = inputs_of(encoder.conv_pos, lambda: encoder(source, spans=spans))
    assert bool((x[spans] == encoder.mask_emb).all())
    assert torch.equal(x[~spans], unmasked[~spans])
    assert encoder(source, mask=True, spans=spans).span_mask is spans


def test_random_spans_follow_the_options_and_spare_padding(make, ecg_batch):
    encoder = make(apply_mask=True, mask_prob=0.5, mask_length=3, no_mask_overlap=True, mask_min_space=2)
    padding_mask = torch.arange(1600) >= torch.tensor([1600, 800])[:, None]
    out = encoder(ecg_batch(2, 1600), padding_mask, mask=True)
    assert bool(out.span_mask.any(dim=1).all())
    assert not (out.span_mask & out.padding_mask).any()
    changes = out.span_mask.int().diff(dim=1).nonzero()
    assert len(changes) > 10


@pytest.mark.parametrize("selection", ["static", "uniform", "normal", "poisson"])
def test_every_mask_selection_runs(make, ecg_batch, selection):
    options = {"mask_selection": selection, "mask_channel_selection": selection, "mask_other": 1.0}
    encoder = make(apply_mask=True, mask_length=2, mask_channel_prob=0.3, mask_channel_length=2, **options)
    out = encoder(ecg_batch(), mask=True)
    assert bool(out.span_mask.any())
    assert bool(out.x.isfinite().all())


def test_channel_masks_zero_a_channel_at_every_frame(make, ecg_batch):
    encoder = make(apply_mask=True, mask_prob=0.0, mask_channel_prob=0.5, mask_channel_length=3)
    x = inputs_of(encoder.conv_pos, lambda: encoder(ecg_batch(64), mask=True))
    zero = (x == 0).all(dim=1)  # (B, D)
    assert torch.equal((x == 0).any(dim=1), zero)
    assert 0.3 < zero.float().mean() < 0.6
    assert len({tuple(row.tolist()) for row in zero}) > 10


def test_a_small_share_of_channels_may_mean_none(make, ecg_batch):
    encoder = make(apply_mask=True, mask_prob=0.0, mask_channel_prob=0.01, mask_channel_length=2)
    x = inputs_of(encoder.conv_pos, lambda: encoder(ecg_batch(64), mask=True))
    assert (x == 0).all(dim=1).any(dim=1).float().mean() < 0.4


def test_encoder_without_masking_has_no_mask_embedding(make):
    assert "mask_emb" in make(apply_mask=True).state_dict()
    assert "mask_emb" not in make(apply_mask=False).state_dict()


def test_wrong_number_of_leads_and_too_few_samples_are_refused(make):
    encoder = make()
    with pytest.raises(ValueError, match=r"must be \(B, 12, samples\), but is \(2, 3, 320\) instead"):
        encoder(torch.zeros(2, 3, 320))
    with pytest.raises(ValueError, match="15 samples is too short"):
        encoder(torch.zeros(2, 12, 15))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_attention_heads": 3}, r"encoder_embed_dim \(16\) must be a multiple of encoder_attention"),
        ({"conv_pos_groups": 3}, r"multiple of conv_pos_groups \(3\)"),
        ({"conv_pos_groups": 0}, r"model\.conv_pos_groups must be an integer from 1"),
        ({"encoder_layers": 0}, r"model\.encoder_layers must be an integer from 1 to 512, but is 0"),
        ({"dropout": 1.0}, r"model\.dropout must be a number from 0 to below 1, but is 1.0"),
        ({"dropout_features": -0.1}, r"model\.dropout_features must be"),
        ({"mask_prob": 1.5}, r"model\.mask_prob must be a number from 0 to 1, but is 1.5"),
        ({"feature_grad_mult": -1.0}, r"model\.feature_grad_mult must be"),
        ({"mask_length": 0}, r"model\.mask_length must be an integer from 1"),
        ({"encoder_chunk": -1}, r"model\.encoder_chunk must be an integer from 0.*, but is -1"),
        ({"mask_selection": "gamma"}, r"model\.mask_selection must be one of static.*but is 'gamma'"),
        ({"mask_channel_selection": "x"}, r"model\.mask_channel_selection must be one of"),
        ({"extractor_mode": "batch"}, r"model\.extractor_mode must be one of"),
        ({"conv_feature_layers": "[(8, 2)]"}, r"model\.conv_feature_layers must list"),
    ],
)
def test_values_that_make_no_encoder_are_refused_by_name(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


@pytest.mark.parametrize("mode", ["default", "layer_norm"])
@pytest.mark.parametrize("first", [False, True])
def test_gradients_reach_every_parameter(make, ecg_batch, mode, first):
    encoder = make(extractor_mode=mode, layer_norm_first=first, apply_mask=True, conv_bias=True)
    out = encoder(ecg_batch(), mask=True, spans=torch.rand(4, 20) < 0.4)
    (out.x * torch.randn_like(out.x)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert bool(parameter.grad.isfinite().all()), name
        # but for the bias of attention's keys: a softmax does not see a constant
        assert bool(parameter.grad.any()) or name.endswith("k_proj.bias"), name


def trained(encoder: ECGEncoder, source: torch.Tensor, padding_mask: torch.Tensor, **options: object) -> dict:
    """Outputs of a training forward pass, and the gradient of every parameter."""
    torch.manual_seed(3)
    out = encoder.train()(source, padding_mask, mask=True, **options)
    loss = (out.x * torch.linspace(-1, 1, out.x.numel()).view_as(out.x)).sum() + out.feature_penalty
    encoder.zero_grad()
    loss.backward()
    values = {"x": out.x, "latents": out.latents, "penalty": out.feature_penalty, "padding": out.padding_mask}
    return {**values, **{name: p.grad for name, p in encoder.named_parameters()}}


@pytest.mark.parametrize("chunk", [1, 3, 5, 8])
def test_encoding_in_chunks_gives_values_and_gradients_of_the_whole_batch(make, ecg_batch, chunk):
    source, padding_mask = ecg_batch(5), torch.arange(320) >= torch.tensor([320, 200, 320, 320, 90])[:, None]
    for spans in (torch.rand(5, 20) < 0.4, None):  # given, and drawn for the whole batch
        whole = trained(make(apply_mask=True), source, padding_mask, spans=spans)
        chunked = trained(make(apply_mask=True, encoder_chunk=chunk), source, padding_mask, spans=spans)
        for name, value in whole.items():
            assert torch.allclose(chunked[name].float(), value.float(), rtol=1e-4, atol=1e-5), name


def test_encoding_in_chunks_repeats_its_dropout_in_the_backward_pass(make, ecg_batch):
    source, spans = ecg_batch(), torch.rand(4, 20) < 0.4
    options = {"dropout": 0.5, "attention_dropout": 0.3, "dropout_input": 0.4, "mask_channel_prob": 0.5}
    chunked = trained(make(apply_mask=True, encoder_chunk=2, **options), source, None, spans=spans)
    torch.manual_seed(3)
    encoder = make(apply_mask=True, **options).train()
    torch.manual_seed(3)
    halves = [encoder(source[i : i + 2], mask=True, spans=spans[i : i + 2]) for i in (0, 2)]
    x = torch.cat([half.x for half in halves])
    penalty = sum(half.feature_penalty for half in halves) / 2
    ((x * torch.linspace(-1, 1, x.numel()).view_as(x)).sum() + penalty).backward()
    assert torch.allclose(chunked["x"], x, atol=1e-6)
    for name, parameter in encoder.named_parameters():
        assert torch.allclose(chunked[name], parameter.grad, rtol=1e-4, atol=1e-5), name


def test_encoding_in_chunks_keeps_nothing_but_its_input(make, ecg_batch):
    kept = {}
    for chunk in (0, 1):
        encoder, source = make(encoder_chunk=chunk).train(), ecg_batch(8)
        sizes: list = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: (sizes.append(t.numel()), t)[1], lambda t: t
        ):
            encoder(source)
        kept[chunk] = sum(sizes)
    assert kept[1] == source.numel()
    assert kept[1] < kept[0] / 5


def test_a_model_that_only_predicts_is_not_chunked(make, ecg_batch):
    encoder, source = make(encoder_chunk=1).eval(), ecg_batch()
    assert torch.equal(encoder(source).x, make().eval()(source).x)
