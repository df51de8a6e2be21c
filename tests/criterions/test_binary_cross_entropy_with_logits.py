"""The multi-label loss and what it hands over for the metrics of a whole set."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.binary_cross_entropy_with_logits import (
    BinaryCrossEntropyWithLogitsCriterion,
    BinaryCrossEntropyWithLogitsCriterionConfig,
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
