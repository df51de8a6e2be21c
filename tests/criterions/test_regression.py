"""The losses of standardised numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairseq_signals.criterions.regression import LOSSES, RegressionCriterion, RegressionCriterionConfig
from fairseq_signals.errors import ConfigError

ERRORS = torch.tensor([[0.5, -0.5], [2.0, 0.0], [-3.0, 1.0]])


class Given(nn.Module):
    """A model that is wrong by `ERRORS` where every target is 1."""

    def forward(self, source):
        return (1 + ERRORS).requires_grad_()


@pytest.fixture
def sample() -> dict:
    label = torch.ones(3, 2, dtype=torch.float64)
    return {"id": torch.arange(3), "net_input": {"source": torch.zeros(3, 12, 8)}, "label": label}


def criterion(**options: object) -> RegressionCriterion:
    return RegressionCriterion(RegressionCriterionConfig(**options), None)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("mse", 0.25 * 2 + 4 + 9 + 1), ("l1", 0.5 * 2 + 2 + 3 + 1), ("huber", 0.125 * 2 + 1.5 + 2.5 + 0.5)],
)
def test_a_loss_is_summed_over_segments_and_targets(loss, expected, sample):
    found, n, log = criterion(loss=loss)(Given(), sample)
    found.backward()
    assert (found.item(), n, log["sample_size"], log["nsignals"]) == (expected, 6, 6, 3)
    assert "predicted" not in log


def test_squares_are_the_default_and_there_are_no_other_losses():
    assert str(RegressionCriterionConfig().loss) == "mse"
    assert set(LOSSES) == {"mse", "l1", "huber"}


def test_validation_hands_over_outputs_and_targets(sample):
    _, _, log = criterion()(Given().eval(), sample)
    assert torch.equal(log["predicted"], 1 + ERRORS)
    assert torch.equal(log["target"], sample["label"].float())
    assert log["id"].tolist() == [0, 1, 2]


def test_a_model_of_other_targets_is_refused(sample):
    with pytest.raises(ConfigError, match="the model has 2 outputs, but the manifest has 3 targets"):
        criterion()(Given(), {**sample, "label": torch.ones(3, 3)})


def test_workers_are_averaged_by_segments_and_targets(reduced):
    logs = [{"loss": 6.0, "sample_size": 6}, {"loss": 2.0, "sample_size": 2}]
    assert reduced(RegressionCriterion, logs)["loss"] == pytest.approx(1.0)
