"""The local loss: what it sums, and every option of it and of its model, forward and backward."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.criterions.ecg_wav2vec2 import (
    ECGWav2Vec2Criterion,
    ECGWav2Vec2CriterionConfig,
    contrastive_accuracy,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.contrastive import binary_contrastive_loss, infonce_loss


def criterion(**options: object) -> ECGWav2Vec2Criterion:
    return ECGWav2Vec2Criterion(ECGWav2Vec2CriterionConfig(**options), None)


def both(model, sample: dict, **options: object) -> tuple:
    """The model's output, and the criterion's on the same random draws."""
    torch.manual_seed(5)
    output = model(**sample["net_input"])
    torch.manual_seed(5)
    return output, criterion(**options)(model, sample)


def test_loss_is_the_contrastive_sum_plus_weighted_regularisers_a_frame(make_model, pairs):
    output, (loss, n, log) = both(make_model(), pairs(), loss_weights=[0.3, 7.0])
    contrastive = infonce_loss(output.logits, output.valid)
    expected = contrastive + n * (0.3 * output.diversity_loss + 7.0 * output.feature_penalty)
    assert torch.allclose(loss, expected)
    assert n == output.valid.sum()
    assert torch.allclose(log["contrastive_loss"], contrastive)
    assert torch.allclose(log["diversity_loss"], n * 0.3 * output.diversity_loss)
    assert torch.allclose(log["features_pen_loss"], n * 7.0 * output.feature_penalty)


def test_one_weight_weighs_both_regularisers(make_model, pairs):
    _, (one, _, _) = both(make_model(), pairs(), loss_weights=[0.5])
    _, (two, _, _) = both(make_model(), pairs(), loss_weights=[0.5, 0.5])
    assert torch.equal(one, two)


def test_without_a_quantizer_only_the_feature_penalty_remains(make_model, pairs):
    output, (loss, n, log) = both(make_model(quantize_targets=False), pairs(), loss_weights=[0.3, 7.0])
    expected = infonce_loss(output.logits, output.valid) + n * 7.0 * output.feature_penalty
    assert torch.allclose(loss, expected)
    assert "diversity_loss" not in log


def test_weight_zero_leaves_a_regulariser_out(make_model, pairs):
    output, (loss, _, log) = both(make_model(), pairs(), loss_weights=[0.0])
    assert torch.allclose(loss, infonce_loss(output.logits, output.valid))
    assert not {"diversity_loss", "features_pen_loss"} & set(log)


def test_binary_loss_replaces_the_contrastive_one(make_model, pairs):
    output, (loss, _, _) = both(make_model(), pairs(), infonce=False, loss_weights=[0.0])
    assert torch.allclose(loss, binary_contrastive_loss(output.logits, output.valid))


@pytest.mark.parametrize("infonce", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"cross_sample_negatives": 4},
        {"cross_sample_negatives": 4, "num_negatives": 0},
        {"codebook_negatives": 4},
        {"codebook_negatives": 4, "num_negatives": 0, "quantize_input": True},
        {"negatives_from_everywhere": True},
        {"final_dim": 0},
        {"latent_dim": 10},
        {"quantize_input": True},
        {"quantize_input": True, "same_quantizer": True},
        {"quantize_input": True, "quantize_targets": False},
        {"quantize_targets": False},
        {"target_glu": True},
        {"no_mask_overlap": True, "mask_min_space": 2},
        {"apply_mask": False},
        {"mask_prob": 0.0},
        {"mask_equal_rows": True},
        {"mask_channel_prob": 0.3, "mask_channel_length": 2},
        {"extractor_mode": "layer_norm", "conv_bias": True},
        {"layer_norm_first": True},
        {"feature_grad_mult": 0.0},
        {"feature_grad_mult": 0.1},
        {"encoder_layerdrop": 0.5, "dropout": 0.2, "attention_dropout": 0.2, "activation_dropout": 0.2},
        {"dropout_input": 0.2, "dropout_features": 0.2},
        *({"mask_selection": name, "mask_other": 1.0} for name in ("static", "uniform", "normal", "poisson")),
    ],
    ids=str,
)
def test_every_option_trains_with_finite_loss_and_gradients(make_model, pairs, options, infonce):
    model, sample = make_model(**options), pairs()
    model.set_num_updates(3)
    sample["net_input"]["padding_mask"] = (
        torch.arange(320) >= torch.tensor([320, 160, 320, 48, 320, 16])[:, None]
    )
    loss, n, log = criterion(infonce=infonce)(model, sample)
    loss.backward()
    assert bool(loss.isfinite())
    assert int(n) > 0
    assert all(bool(torch.as_tensor(value).isfinite()) for value in log.values())
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize("infonce", [True, False])
def test_identical_codes_leave_no_distractor_and_a_finite_loss(make_model, pairs, infonce):
    model, sample = make_model(latent_vars=1), pairs()
    output = model(**sample["net_input"])
    assert bool(torch.isinf(output.logits[..., 1:]).all())
    loss, _, log = criterion(infonce=infonce, loss_weights=[0.0])(model, sample)
    loss.backward()
    assert bool(loss.isfinite())
    if infonce:
        assert log["contrastive_loss"].item() == 0.0
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_silent_leads_train_with_finite_gradients(make_model, pairs):
    model, sample = make_model(), pairs()
    sample["net_input"]["source"][:, 3:] = 0.0
    sample["net_input"]["source"][0] = 0.0  # a segment whose every lead is masked
    loss, _, _ = criterion()(model, sample)
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_batch_without_a_masked_frame_has_loss_zero(make_model, pairs):
    model, sample = make_model(), pairs()
    sample["net_input"]["spans"] = torch.zeros(6, 20, dtype=torch.bool)
    loss, n, _ = criterion()(model, sample)
    loss.backward()
    assert int(n) == 0
    assert loss.item() == 0.0
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_accuracy_counts_frames_whose_positive_leads_and_is_not_also_last():
    inf = float("inf")
    logits = torch.tensor([[2.0, 1, 0], [1, 2, 0], [1, 1, 1], [1, 0, -inf], [3, -inf, -inf], [9, 0, 0]])[None]
    valid = torch.tensor([[True] * 5 + [False]])
    right, count = contrastive_accuracy(logits, valid)
    assert (int(right), int(count)) == (3, 5)


def test_workers_are_averaged_by_their_masked_frames(reduced, make_model, pairs):
    model = make_model()
    logs = [criterion()(model, pairs(patients))[2] for patients in ((1, 2), (1, 2, 3, 4))]
    n = sum(int(log["sample_size"]) for log in logs)
    shown = reduced(ECGWav2Vec2Criterion, logs)
    for key in ("loss", "contrastive_loss", "prob_perplexity"):
        assert shown[key] == pytest.approx(sum(float(log[key]) for log in logs) / n, abs=1e-3)
    assert shown["accuracy"] == pytest.approx(sum(int(log["correct"]) for log in logs) / n, abs=1e-4)
    assert shown["temp"] == pytest.approx(2.0)
    assert ECGWav2Vec2Criterion.logging_outputs_can_be_summed()


def test_outputs_hold_nothing_but_numbers(make_model, pairs):
    _, _, log = criterion()(make_model(), pairs())
    for key, value in log.items():
        assert torch.as_tensor(value).numel() == 1, key
        assert not getattr(value, "requires_grad", False), key


@pytest.mark.parametrize("weights", [[], [1.0, 2.0, 3.0], [0.1, -1.0]])
def test_weights_that_fit_no_regulariser_are_refused(weights):
    with pytest.raises(ConfigError, match=r"criterion\.loss_weights must be one or two numbers >= 0"):
        criterion(loss_weights=weights)


def test_misspelt_key_is_named_with_its_near_misses():
    cfg = OmegaConf.create({"loss_weight": [0.1]})
    with pytest.raises(ConfigError, match=r"criterion\.loss_weight \(did you mean loss_weights"):
        ECGWav2Vec2Criterion.build_criterion(cfg, None)
