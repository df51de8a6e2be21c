"""The criterion `masked_cluster_prediction`: known answers, which frames count, and what guessing costs."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.masked_cluster_prediction import (
    MaskedClusterPredictionConfig,
    MaskedClusterPredictionCriterion,
    cluster_costs,
    label_entropy,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_hubert import ClusterPrediction, ECGHuBERTConfig, ECGHuBERTModel


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + offset).view(shape)


def build(task: object = None, **options: object) -> MaskedClusterPredictionCriterion:
    return MaskedClusterPredictionCriterion(MaskedClusterPredictionConfig(**options), task)


def test_a_known_loss():
    h, codes = (F.normalize(sines(n, 3, offset=o), dim=1) for n, o in ((4, 1.0), (5, 0.25)))
    logits, labels = (h @ codes.T / 0.1)[None], torch.tensor([[0, 1, 2, 4]])
    assert cluster_costs(logits, labels).mean().item() == pytest.approx(4.421654, abs=1e-5)
    assert logits.argmax(dim=2).tolist() == [[0, 1, 0, 1]]
    shares = F.one_hot(labels, 5).double()
    assert torch.equal(cluster_costs(logits, shares), cluster_costs(logits, labels))


@pytest.mark.parametrize("k", [100, 500, 8192])
def test_equal_logits_cost_the_logarithm_of_their_number(k):
    costs = cluster_costs(torch.zeros(1, 2, k), torch.tensor([[0, k - 1]]))
    assert costs.tolist() == [pytest.approx([math.log(k)] * 2, abs=1e-5)]


def test_the_entropy_of_labels_is_what_their_frequencies_cost():
    labels, valid = torch.tensor([[0, 0, 0, 1, 2]]), torch.tensor([[True] * 4 + [False]])
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert label_entropy(labels, valid, 6).item() == pytest.approx(expected, abs=1e-6)
    shares = F.one_hot(labels, 6).float()
    assert label_entropy(shares, valid, 6).item() == pytest.approx(expected, abs=1e-6)
    guess = torch.tensor([0.75, 0.25, 1e-9]).log().expand(1, 5, -1)
    assert cluster_costs(guess, labels)[valid].mean().item() == pytest.approx(expected, abs=1e-6)


class Given:
    """In place of a model, what it gives."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.logits = torch.randn(2, 5, 4, generator=generator).requires_grad_()
        valid = torch.ones(2, 5, dtype=torch.bool)
        valid[1, 3:] = False
        masked = torch.tensor([[True, True, False, False, False], [False, True, False, False, False]])
        labels = torch.randint(4, (2, 5), generator=generator)
        self.found = ClusterPrediction(self.logits, labels, masked, valid, torch.eye(2))

    def __call__(self, contribute: bool) -> ClusterPrediction:
        return self.found


SAMPLE = {"id": torch.arange(2), "net_input": {}}


def test_masked_frames_alone_count():
    model = Given()
    loss, n, log = build()(model, SAMPLE)
    loss.backward()
    assert n == log["sample_size"] == 3
    costs = cluster_costs(model.logits, model.found.labels)
    assert loss.item() == pytest.approx(costs[model.found.masked].sum().item(), rel=1e-6)
    assert torch.equal(model.logits.grad.abs().sum(dim=2) > 0, model.found.masked)


def test_other_frames_may_have_a_share():
    model, share = Given(), 0.75
    loss, n, _ = build(masked_weight=share)(model, SAMPLE)
    costs, masked = cluster_costs(model.logits, model.found.labels), model.found.masked
    others = model.found.valid & ~masked
    expected = share * costs[masked].mean() + (1 - share) * costs[others].mean()
    assert (loss / n).item() == pytest.approx(expected.item(), rel=1e-6)


def test_what_is_logged_is_a_mean_over_frames_of_all_workers(reduced):
    keys = ("loss", "cluster_loss", "label_entropy", "correct", "sample_size")
    logs = [dict(zip(keys, (6.0, 3.0, 1.5, 2, 3))), dict(zip(keys, (2.0, 1.0, 0.5, 0, 1)))]
    values = reduced(MaskedClusterPredictionCriterion, logs)
    assert [values[key] for key in (*keys[:3], "accuracy")] == [2.0, 1.0, 0.5, 0.5]


def test_the_global_term_is_added(tiny, pairs):
    torch.manual_seed(0)
    options = {"num_clusters": 6, "final_dim": 8, "mask_prob": 0.3, "mask_length": 2}
    model = ECGHuBERTModel(ECGHuBERTConfig(**tiny, **options)).eval()
    loss, n, log = build(SimpleNamespace(pairs=True), cmsc_weight=0.1)(model, pairs())
    assert (loss / n).item() == pytest.approx(
        (log["cluster_loss"] + 0.1 * log["cmsc_loss"]).item() / n, rel=1e-6
    )
    assert int(log["positive_pairs"]) == 3


@pytest.mark.parametrize(
    ("options", "pairs", "message"),
    [
        ({"masked_weight": 0.0}, True, r"criterion\.masked_weight must be in \(0, 1\], but is 0\.0"),
        ({"masked_weight": 1.1}, True, r"criterion\.masked_weight"),
        ({"cmsc_weight": -1.0}, True, r"criterion\.cmsc_weight must be >= 0"),
        ({"cmsc_weight": 0.1}, False, r"criterion\.cmsc_weight .* task\.segment_pairs is false"),
        ({"temp": 0.0}, True, r"criterion\.temp must be > 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, pairs, message):
    with pytest.raises(ConfigError, match=message):
        build(SimpleNamespace(pairs=pairs), **options)
