"""The contrastive objective: its logits beside naive ones, and every option of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_wav2vec2 import ECGWav2Vec2Config, ECGWav2Vec2Model
from fairseq_signals.modules.contrastive import infonce_loss


@pytest.fixture
def spans() -> torch.Tensor:
    """Frames to mask in 4 segments of 20 frames, another number in each."""
    return torch.rand(4, 20, generator=torch.Generator().manual_seed(1)) < torch.tensor(
        [[0.3], [0.5], [0.4], [0.6]]
    )


def draw(spans: torch.Tensor, k: int, candidates: torch.Tensor | None = None) -> torch.Tensor:
    """Indices (B, M, K) into each segment's candidates (its masked frames, unless said otherwise)."""
    counts = (spans if candidates is None else candidates).sum(dim=1)
    index = torch.rand(len(spans), int(spans.sum(dim=1).max()), k, generator=torch.Generator().manual_seed(2))
    return (index * counts[:, None, None]).long()


@pytest.mark.parametrize("quantize", [True, False])
@pytest.mark.parametrize("glu", [True, False])
@pytest.mark.parametrize("everywhere", [True, False])
@torch.no_grad()
def test_logits_equal_the_naive_ones(make_wav2vec2, ecg_batch, spans, quantize, glu, everywhere):
    model = make_wav2vec2(quantize_targets=quantize, target_glu=glu, negatives_from_everywhere=everywhere)
    kept = torch.ones_like(spans) if everywhere else spans
    drawn = draw(spans, 5, kept)
    out = model(ecg_batch(), spans=spans, distractors=drawn)
    encoded = model.encoder(ecg_batch(), mask=True, spans=spans)
    for b in range(4):
        latents = encoded.latents[b][kept[b]]
        quantized = model.quantizer(latents) if quantize else None
        targets = model.project_q(quantized.x if quantize else latents)
        targets = model.target_glu(targets) if glu else targets
        own = kept[b].nonzero()[:, 0].tolist()
        for t, frame in enumerate(spans[b].nonzero()[:, 0].tolist()):
            assert bool(out.valid[b, t])
            prediction, positive = model.final_proj(encoded.x[b, frame]), own.index(frame)
            assert out.logits[b, t, 0] == pytest.approx(
                F.cosine_similarity(prediction, targets[positive], dim=0).item() / 0.1, abs=1e-4
            )
            for k, j in enumerate(drawn[b, t].tolist()):
                if quantize and torch.equal(quantized.codes[j], quantized.codes[positive]):
                    assert out.logits[b, t, 1 + k] == -torch.inf
                else:
                    expected = F.cosine_similarity(prediction, targets[j], dim=0).item() / 0.1
                    assert out.logits[b, t, 1 + k] == pytest.approx(expected, abs=1e-4)
    assert out.valid.sum() == spans.sum()


@torch.no_grad()
def test_loss_of_a_segment_does_not_depend_on_its_batch(make_wav2vec2, ecg_batch, spans):
    model, source = make_wav2vec2(), ecg_batch()
    drawn = draw(spans, 5)
    together = model(source, spans=spans, distractors=drawn)
    alone = []
    for b in range(4):
        m = int(spans[b].sum())
        out = model(source[b : b + 1], spans=spans[b : b + 1], distractors=drawn[b : b + 1, :m])
        alone.append(infonce_loss(out.logits, out.valid))
    assert torch.allclose(infonce_loss(together.logits, together.valid), sum(alone), rtol=1e-5)


def distinct(logits: torch.Tensor) -> int:
    """Number of different finite values."""
    return len(set(logits[torch.isfinite(logits)].tolist()))


@torch.no_grad()
def test_distractors_come_from_masked_frames_or_from_everywhere(make_wav2vec2, ecg_batch, spans):
    for everywhere in (False, True):
        model = make_wav2vec2(quantize_targets=False, num_negatives=400, negatives_from_everywhere=everywhere)
        out = model(ecg_batch(), spans=spans)
        for b in range(4):
            others = (20 if everywhere else int(spans[b].sum())) - 1
            for t in range(int(spans[b].sum())):
                assert distinct(out.logits[b, t, 1:]) == others
                assert not (out.logits[b, t, 1:] == out.logits[b, t, 0]).any()


@torch.no_grad()
def test_cross_sample_distractors_are_of_all_segments_and_never_the_positive(make_wav2vec2, ecg_batch, spans):
    model = make_wav2vec2(quantize_targets=False, num_negatives=0, cross_sample_negatives=1000)
    out = model(ecg_batch(), spans=spans)
    for row in out.logits[out.valid]:  # of every segment, not of the first only
        assert not (row[1:] == row[0]).any()
        assert distinct(row[1:]) == int(spans.sum()) - 1


@torch.no_grad()
def test_all_distractors_are_those_that_many_draws_find(make_wav2vec2, ecg_batch, spans):
    padding_mask = torch.arange(320) >= torch.tensor([320, 160, 320, 320])[:, None]
    for quantized in (False, True):
        options = {"quantize_targets": quantized, "latent_vars": 2}  # few codes: some equal the positive's
        every = make_wav2vec2(num_negatives=-1, **options)(ecg_batch(), padding_mask, spans=spans)
        drawn = make_wav2vec2(num_negatives=2000, **options)(ecg_batch(), padding_mask, spans=spans)
        assert torch.equal(every.valid, drawn.valid)
        for one, many in zip(every.logits[every.valid], drawn.logits[drawn.valid]):
            assert one[0] == many[0]
            assert torch.equal(one[1:][one[1:].isfinite()].unique(), many[1:][many[1:].isfinite()].unique())


@torch.no_grad()
def test_codebook_distractors_are_projected_entries_of_the_codebook(make_wav2vec2, ecg_batch, spans):
    model = make_wav2vec2(num_negatives=0, codebook_negatives=300, latent_vars=3, latent_groups=2)
    out = model(ecg_batch(), spans=spans)
    book = model.quantizer.vars.view(2, 3, -1)
    entries = torch.stack([torch.cat([book[0, i], book[1, j]]) for i in range(3) for j in range(3)])
    encoded = model.encoder(ecg_batch(), mask=True, spans=spans)
    predictions = model.final_proj(encoded.x[spans])
    expected = F.cosine_similarity(predictions[:, None], model.project_q(entries)[None], dim=2) / 0.1
    for row, possible in zip(out.logits[out.valid], expected):
        finite = row[1:][torch.isfinite(row[1:])]
        assert distinct(row[1:]) == 8  # all but the positive's own entry
        assert (finite[:, None] - possible).abs().min(dim=1).values.max() < 1e-4


@torch.no_grad()
def test_padded_frames_are_neither_predicted_nor_distractors(make_wav2vec2, ecg_batch):
    padding_mask = torch.arange(320) >= torch.tensor([320, 160, 48, 320])[:, None]
    spans = torch.ones(4, 20, dtype=torch.bool)
    for everywhere in (False, True):
        model = make_wav2vec2(quantize_targets=False, num_negatives=300, negatives_from_everywhere=everywhere)
        out = model(ecg_batch(), padding_mask, spans=spans)
        assert out.valid.sum(dim=1).tolist() == [20, 10, 3, 20]
        assert [distinct(out.logits[b, 0, 1:]) for b in range(4)] == [19, 9, 2, 19]


@torch.no_grad()
def test_without_masking_every_frame_is_predicted(make_wav2vec2, ecg_batch):
    for options in ({"apply_mask": False}, {"mask_prob": 0.0}):
        out = make_wav2vec2(**options)(ecg_batch())
        assert out.logits.shape == (4, 20, 6)
        assert bool(out.valid.all())


@torch.no_grad()
def test_single_masked_frame_has_no_distractors_and_loss_zero(make_wav2vec2, ecg_batch):
    spans = torch.zeros(4, 20, dtype=torch.bool)
    spans[:, 3] = True
    out = make_wav2vec2(quantize_targets=False)(ecg_batch(), spans=spans)
    assert bool(torch.isinf(out.logits[..., 1:]).all())
    assert infonce_loss(out.logits, out.valid).item() == 0.0


def test_contrastive_space_is_as_wide_as_the_transformer_by_default(make_wav2vec2):
    assert make_wav2vec2(final_dim=0).final_proj.out_features == 16
    assert make_wav2vec2(final_dim=8).final_proj.out_features == 8
    assert make_wav2vec2(latent_dim=12).quantizer.vars.shape[-1] == 6  # a half for each of two groups


@pytest.mark.parametrize("same", [False, True])
def test_quantized_input_is_made_of_projected_codebook_vectors(make_wav2vec2, ecg_batch, same):
    model = make_wav2vec2(quantize_input=True, same_quantizer=same)
    assert (model.input_quantizer is model.quantizer) is same
    seen: list = []
    model.encoder.conv_pos.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    out = model(ecg_batch(), spans=torch.zeros(4, 20, dtype=torch.bool))
    latents = model.encoder.layer_norm(model.encoder.latent_frames(ecg_batch()))
    expected = model.project_inp(model.input_quantizer(latents.reshape(80, -1)).x).view(4, 20, -1)
    assert torch.allclose(seen[0], expected, atol=1e-6)
    out.x.sum().backward()
    assert bool(model.input_quantizer.vars.grad.any())


def test_update_number_reaches_both_quantizers(make_wav2vec2):
    model = make_wav2vec2(quantize_input=True, latent_temp=[2.0, 0.5, 0.9])
    model.set_num_updates(3)
    temperatures = [model.quantizer.curr_temp, model.input_quantizer.curr_temp]
    assert temperatures == pytest.approx([2.0 * 0.9**3] * 2)


def test_dropout_of_features_acts_on_the_quantizers_input_in_training(make_wav2vec2, ecg_batch, spans):
    model = make_wav2vec2(quantize_targets=False, dropout_features=0.5).train()
    drawn = draw(spans, 5)
    one, other = (model(ecg_batch(), spans=spans, distractors=drawn) for _ in range(2))
    assert torch.equal(one.x, other.x)
    assert not torch.equal(one.logits, other.logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logit_temp": 0.0}, r"model\.logit_temp must be > 0"),
        ({"num_negatives": -2}, "must be >= 0, or -1 for all"),
        ({"num_negatives": 0}, "no other distractors"),
        ({"codebook_negatives": 2, "quantize_targets": False}, "needs model.quantize_targets=true"),
        ({"same_quantizer": True}, "needs quantize_input=true"),
        ({"latent_temp": [2.0, 0.5]}, r"must be \[start, end, decay\]"),
        ({"final_dim": 9}, r"model\.final_dim must be a multiple of latent_groups \(2\)"),
        ({"latent_dim": 9}, r"model\.latent_dim must be a multiple"),
        ({"latent_groups": 0}, r"model\.latent_groups must be at least 1"),
        ({"latent_vars": 0}, r"model\.latent_vars must be at least 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused_by_name(make_wav2vec2, options, message):
    with pytest.raises(ConfigError, match=message):
        make_wav2vec2(**options)


def test_local_model_alone_is_built_from_its_configuration(tiny, ecg_batch):
    model = ECGWav2Vec2Model.build_model(ECGWav2Vec2Config(**tiny, mask_length=3, num_negatives=4))
    out = model(ecg_batch())
    assert out.diversity_loss is None
    assert out.stats == {}
    assert out.logits.shape[2] == 5
