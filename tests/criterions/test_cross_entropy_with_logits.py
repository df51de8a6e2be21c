"""The loss of classes that exclude each other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairseq_signals.criterions.cross_entropy_with_logits import (
    CrossEntropyWithLogitsCriterion,
    CrossEntropyWithLogitsCriterionConfig,
)
from fairseq_signals.errors import ConfigError

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.5, 1.5], [1.0, 1.0, -3.0]])
CLASSES = [0, 1, 0]


class Given(nn.Module):
    """A model that gives `LOGITS`."""

    def forward(self, source):
        return LOGITS.clone().requires_grad_()


@pytest.fixture
def sample() -> dict:
    label = torch.eye(3)[CLASSES]
    return {"id": torch.arange(3), "net_input": {"source": torch.zeros(3, 12, 8)}, "label": label}


def criterion(**options: object) -> CrossEntropyWithLogitsCriterion:
    return CrossEntropyWithLogitsCriterion(CrossEntropyWithLogitsCriterionConfig(**options), None)


def test_the_loss_is_minus_the_log_of_the_softmax_summed_over_segments(sample):
    loss, n, log = criterion()(Given(), sample)
    p = LOGITS.exp() / LOGITS.exp().sum(dim=1, keepdim=True)
    assert loss.item() == pytest.approx(-sum(p[i, c].log().item() for i, c in enumerate(CLASSES)))
    assert (n, log["sample_size"], int(log["correct"])) == (3, 3, 2)


def test_classes_are_weighed_and_labels_smoothed(sample):
    log_p = LOGITS.log_softmax(dim=1)
    weight, share = torch.tensor([3.0, 0.5, 1.0]), 0.3
    target = (1 - share) * sample["label"] + share / 3
    for options, expected in (
        ({"class_weight": weight.tolist()}, -(weight * sample["label"] * log_p).sum()),
        ({"label_smoothing": share}, -(target * log_p).sum()),
    ):
        torch.testing.assert_close(criterion(**options)(Given(), sample)[0], expected)


def test_probabilities_of_a_segment_sum_to_one_in_validation(sample):
    _, _, log = criterion()(Given().eval(), sample)
    torch.testing.assert_close(log["scores"], LOGITS.softmax(dim=1))
    torch.testing.assert_close(log["scores"].sum(dim=1), torch.ones(3))
    assert torch.equal(log["label"], sample["label"] > 0)


def test_options_that_make_no_sense_are_refused(sample):
    with pytest.raises(ConfigError, match=r"criterion\.class_weight must have 3 numbers.*but has 2"):
        criterion(class_weight=[1.0, 2.0])(Given(), sample)
    with pytest.raises(ConfigError, match=r"criterion\.label_smoothing must be .*, but is 1"):
        criterion(label_smoothing=1)
    with pytest.raises(ConfigError, match="the model has 3 classes, but the manifest has 2"):
        criterion()(Given(), {**sample, "label": torch.zeros(3, 2)})
