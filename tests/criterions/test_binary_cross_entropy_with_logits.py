"""The multi-label loss and what it hands over for the metrics of a whole set."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.binary_cross_entropy_with_logits import (
    BinaryCrossEntropyWithLogitsCriterion,
    BinaryCrossEntropyWithLogitsCriterionConfig,
    asymmetric_loss,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_transformer_classifier import (
    ECGTransformerClassifierConfig,
    ECGTransformerClassifierModel,
)


@pytest.fixture
def model(tiny) -> ECGTransformerClassifierModel:
    torch.manual_seed(0)
    cfg = ECGTransformerClassifierConfig(**tiny, num_labels=3)
    return ECGTransformerClassifierModel.build_model(cfg)


@pytest.fixture
def sample(ecg_batch) -> dict:
    label = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])
    return {"id": torch.tensor([7, 3, 5, 9]), "net_input": {"source": ecg_batch()}, "label": label}


def criterion(**options: object) -> BinaryCrossEntropyWithLogitsCriterion:
    return BinaryCrossEntropyWithLogitsCriterion(BinaryCrossEntropyWithLogitsCriterionConfig(**options), None)


def test_loss_is_summed_over_segments_and_classes(model, sample):
    loss, n, log = criterion()(model, sample)
    loss.backward()
    logits, label = model(**sample["net_input"]), sample["label"]
    expected = -(label * F.logsigmoid(logits) + (1 - label) * F.logsigmoid(-logits)).sum()
    assert torch.allclose(loss, expected)
    assert n == log["sample_size"] == 12
    assert int(log["correct"]) == int(((logits > 0) == (label > 0)).sum())
    assert bool(model.proj.weight.grad.any())


def test_pos_weight_weighs_the_positives_of_each_class(model, sample):
    weight = torch.tensor([2.0, 1.0, 0.5])
    loss, _, _ = criterion(pos_weight=weight.tolist())(model, sample)
    logits, label = model(**sample["net_input"]), sample["label"]
    expected = -(weight * label * F.logsigmoid(logits) + (1 - label) * F.logsigmoid(-logits)).sum()
    assert torch.allclose(loss, expected)


def test_threshold_decides_which_labels_are_predicted(model, sample):
    scores = model(**sample["net_input"]).sigmoid()
    for threshold in (0.3, 0.7):
        _, _, log = criterion(threshold=threshold)(model, sample)
        expected = ((scores > threshold) == (sample["label"] > 0)).sum()
        assert int(log["correct"]) == int(expected)


def test_scores_are_handed_over_in_validation_only(model, sample):
    _, _, log = criterion()(model, sample)
    assert not {"scores", "label", "id"} & set(log)
    model.eval()
    _, _, log = criterion()(model, sample)
    assert torch.allclose(log["scores"], model(**sample["net_input"]).sigmoid())
    assert torch.equal(log["label"], sample["label"] > 0)
    assert log["id"].tolist() == [7, 3, 5, 9]


def test_model_and_labels_of_other_numbers_of_classes_are_refused(model, sample):
    sample["label"] = torch.zeros(4, 2)
    with pytest.raises(ConfigError, match="the model has 3 classes, but the manifest has 2"):
        criterion()(model, sample)


def test_weights_of_another_number_of_classes_are_refused(model, sample):
    with pytest.raises(ConfigError, match=r"criterion\.pos_weight must have 3 numbers.*but has 2"):
        criterion(pos_weight=[1.0, 2.0])(model, sample)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_threshold_beyond_probabilities_is_refused(threshold):
    with pytest.raises(ConfigError, match=r"criterion\.threshold must be between 0 and 1"):
        criterion(threshold=threshold)


def test_workers_are_averaged_by_segments_and_classes(reduced):
    logs = [{"loss": 6.0, "correct": 5, "sample_size": 6}, {"loss": 2.0, "correct": 2, "sample_size": 2}]
    shown = reduced(BinaryCrossEntropyWithLogitsCriterion, logs)
    assert shown["loss"] == pytest.approx(1.0)
    assert shown["label_accuracy"] == pytest.approx(7 / 8)


@pytest.mark.parametrize(
    ("gamma_pos", "gamma_neg", "clip"),
    [(0, 4, 0.05), (1, 2, 0.2), (2, 2, 0), (0.5, 0.5, 0), (0, 0, 0.1), (0, 0.5, 0.05)],
)
def test_asymmetric_and_focal_loss_are_their_formulas(gamma_pos, gamma_neg, clip):
    x = torch.linspace(-6, 6, 40, dtype=torch.float64).reshape(20, 2).requires_grad_()
    y, weight = torch.arange(40).reshape(20, 2) % 2, torch.tensor([2.0, 0.5])
    p = 1 / (1 + (-x).exp())
    q = (p - clip).clamp(min=0)
    positives, negatives = (1 - p) ** gamma_pos * p.log(), torch.where(q > 0, q**gamma_neg * (1 - q).log(), 0)
    expected = -(y * weight * positives + (1 - y) * negatives).sum()
    loss = asymmetric_loss(x, y, gamma_pos, gamma_neg, clip, weight)
    torch.testing.assert_close(loss, expected)
    if clip == 0:  # else the formula's own gradient is infinity times zero where q is 0
        torch.testing.assert_close(*(torch.autograd.grad(value, x)[0] for value in (loss, expected)))
    assert torch.autograd.gradcheck(lambda x: asymmetric_loss(x, y, gamma_pos, gamma_neg, clip), x)


def test_focal_loss_of_a_known_probability():
    x = torch.tensor([[3.0, 1 / 3]]).log().requires_grad_()  # p is 3/4, and 1/4
    loss = asymmetric_loss(x, torch.tensor([[1, 0]]), 2, 2)
    assert loss.item() == pytest.approx(2 * (1 / 4) ** 2 * -math.log(3 / 4))


@pytest.mark.parametrize("gammas", [(0, 4), (0.5, 0.5), (2, 2)])
@pytest.mark.parametrize("clip", [0.0, 0.05, 1e-9])
def test_gradients_of_the_asymmetric_loss_are_finite_at_extreme_logits(gammas, clip):
    x = torch.tensor([-1e4, -200, -90, -17, -2.9444390, 0, 17, 90, 200, 1e4])[:, None].requires_grad_()
    for y in (0.0, 1.0):
        loss = asymmetric_loss(x, torch.full_like(x, y), *gammas, clip)
        (slope,) = torch.autograd.grad(loss, x)
        assert bool(loss.isfinite())
        assert bool(slope.isfinite().all())
        assert bool((slope <= 0).all() if y else (slope >= 0).all())


def test_without_gammas_and_clip_the_loss_is_plain_cross_entropy_bit_for_bit(model, sample):
    loss, _, _ = criterion(gamma_pos=0, gamma_neg=0, clip=0)(model, sample)
    logits = model(**sample["net_input"])
    assert loss == F.binary_cross_entropy_with_logits(logits, sample["label"], reduction="sum")
    torch.testing.assert_close(asymmetric_loss(logits, sample["label"]), loss)


def test_the_criterion_takes_gammas_clip_and_pos_weight(model, sample):
    options = {"gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.05}
    loss, n, _ = criterion(**options, pos_weight=[2.0, 1.0, 0.5])(model, sample)
    weight = torch.tensor([2.0, 1.0, 0.5])
    expected = asymmetric_loss(
        model(**sample["net_input"]), sample["label"], *options.values(), pos_weight=weight
    )
    assert (loss, n) == (expected, 12)


@pytest.mark.parametrize("option", ["gamma_pos", "gamma_neg", "clip"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_gammas_and_clips_that_are_none_are_refused(option, value):
    with pytest.raises(ConfigError, match=rf"criterion\.{option} must be .*, but is {value}"):
        criterion(**{option: value})
