"""Intervals of the metrics of every task: they are of what the evaluation itself measures."""

import numpy as np
import pytest

from fairseq_signals.evaluation.intervals import add_intervals, statistics_of, values_of
from fairseq_signals.evaluation.regression import named_metrics
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.metrics.cinc2021 import challenge_score
from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.metrics.regression import regression_metrics

N = 120
PATIENTS = np.char.add("p", (np.arange(N) // 3).astype(str))


def classification(exclusive):
    rng = np.random.default_rng(1)
    labels = np.arange(N)[:, None] % 4 == np.arange(4) if exclusive else rng.random((N, 4)) < 0.3
    scores = rng.random((N, 4)) / 2 + labels / 4
    arrays = {
        "probabilities": scores[None], "labels": labels, "patient_ids": PATIENTS, "threshold": 0.4,
        "exclusive": exclusive, "weights": np.eye(4) + 0.1, "normal": 2,
    }  # fmt: skip
    measured = classification_metrics(labels, scores, None if exclusive else 0.4)
    predicted = np.arange(4) == scores.argmax(axis=1)[:, None] if exclusive else scores > 0.4
    expected = {
        "cinc_score": challenge_score(labels, predicted, arrays["weights"], 2),
        "macro_auroc": measured["auroc"],
        "macro_auprc": measured["auprc"],
    }
    if exclusive:
        expected |= {"accuracy": measured["accuracy"], "macro_f_measure": measured["f_measure"]}
    return "classification", arrays, expected


def regression():
    rng = np.random.default_rng(2)
    truth = rng.normal([60, 4.5], [15, 0.5], (N, 2))
    predicted = truth + rng.normal(0, [8, 0.3], (N, 2))
    names = np.array(["age", "potassium"])
    arrays = {"predicted": predicted[None], "targets": truth, "patient_ids": PATIENTS, "names": names}
    return "regression", arrays, named_metrics(names.tolist(), regression_metrics(truth, predicted))


def identification():
    correct = np.arange(N) % 7 > 0
    return "identification", {"correct": correct[None], "probe_ids": PATIENTS}, {"accuracy": correct.mean()}


@pytest.mark.parametrize(
    ("task", "arrays", "expected"),
    [classification(False), classification(True), regression(), identification()],
    ids=["multi-label", "exclusive", "regression", "identification"],
)
def test_each_metric_of_a_task_has_an_interval_around_it(task, arrays, expected):
    found = {name: v for each in statistics_of(task, arrays, 0) for name, v in values_of(each).items()}
    assert found == pytest.approx(expected, rel=1e-9)
    outcome = Evaluation(task, N, "records", {"12": expected}, lambda: iter(()), [], arrays)
    outcome.families = {"random:12": ("12",)}
    add_intervals(outcome, 100)
    assert set(outcome.intervals["12"]) == set(expected)
    assert outcome.intervals["random:12 mean"] == outcome.intervals["12"]
    for name, bounds in outcome.intervals["12"].items():
        assert bounds.low < expected[name] < bounds.high, name
