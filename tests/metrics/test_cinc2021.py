"""The challenge metrics against hand-computed values, a slow twin, and the official evaluation's output."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals.metrics.cinc2021 import (
    challenge_score,
    weighted_confusion,
    weighted_score,
)
from fairseq_signals.metrics.classification import (
    as_scores,
    auprc_per_class,
    auroc_per_class,
    exact_match,
    f_measure_per_class,
    nan_mean,
)

WEIGHTS = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.1], [0.2, 0.1, 1.0]])
NORMAL = 2


def official_metrics(labels, scores, weights, normal, threshold=0.5, predictions=None):
    """What the official evaluation prints, made of ours."""
    truth, scores = np.asarray(labels, bool), np.asarray(scores)
    predicted = scores > threshold if predictions is None else np.asarray(predictions, bool)
    per_class = {
        "auroc": auroc_per_class(truth, scores),
        "auprc": auprc_per_class(truth, scores),
        "f_measure": f_measure_per_class(truth, predicted),
    }
    return {
        **{name: nan_mean(values) for name, values in per_class.items()},
        **{f"{name}_classes": values for name, values in per_class.items()},
        "accuracy": exact_match(truth, predicted),
        "challenge_metric": challenge_score(truth, predicted, weights, normal),
    }


def slow_weighted_score(labels, predictions, weights):
    total = 0.0
    for label, prediction in zip(labels, predictions):
        union = max(sum(bool(a or b) for a, b in zip(label, prediction)), 1)
        for j in range(len(label)):
            for k in range(len(label)):
                if label[j] and prediction[k]:
                    total += weights[j][k] / union
    return total


def slow_auc(labels, scores):
    """AUROC by trapezoids and AUPRC by steps over the distinct thresholds, from above the largest down."""
    auroc = auprc = 0.0
    positives, negatives = labels.sum(), (~labels).sum()
    last_tpr, last_tnr = 0.0, 1.0
    for threshold in np.unique(scores)[::-1]:
        called = scores >= threshold
        tpr = (labels & called).sum() / positives
        tnr = (~labels & ~called).sum() / negatives
        auroc += (tpr - last_tpr) * (tnr + last_tnr) / 2
        auprc += (tpr - last_tpr) * (labels & called).sum() / called.sum()
        last_tpr, last_tnr = tpr, tnr
    return auroc, auprc


def random_case(seed, n=40, n_classes=3):
    rng = np.random.default_rng(seed)
    return rng.random((n, n_classes)) < 0.4, rng.random((n, n_classes)) < 0.4


def test_the_labels_themselves_score_one_and_always_normal_scores_zero():
    labels, _ = random_case(0)
    always_normal = np.zeros_like(labels)
    always_normal[:, NORMAL] = True
    assert challenge_score(labels, labels, WEIGHTS, NORMAL) == 1.0
    assert challenge_score(labels, always_normal, WEIGHTS, NORMAL) == 0.0


def test_score_of_two_records_computed_by_hand():
    labels = np.array([[1, 0, 0], [0, 1, 0]])
    predictions = np.array([[0, 1, 0], [0, 1, 1]])
    # observed: w[0, 1] / 2 = 0.25 and (w[1, 1] + w[1, 2]) / 2 = 0.55; correct 2; inactive 0.1 + 0.05
    assert weighted_score(labels, predictions, WEIGHTS) == pytest.approx(0.8)
    assert challenge_score(labels, predictions, WEIGHTS, NORMAL) == pytest.approx((0.8 - 0.15) / (2 - 0.15))


def test_a_record_without_labels_and_predictions_adds_nothing():
    labels, predictions = random_case(1)
    empty = np.zeros((3, 3), dtype=bool)
    padded = np.vstack([labels, empty]), np.vstack([predictions, empty])
    assert weighted_score(*padded, WEIGHTS) == pytest.approx(weighted_score(labels, predictions, WEIGHTS))


def test_score_is_zero_where_perfect_and_inactive_are_the_same():
    only_normal = np.array([[0, 0, 1], [0, 0, 1]])
    assert challenge_score(only_normal, 1 - only_normal, WEIGHTS, NORMAL) == 0.0
    assert challenge_score(np.zeros((0, 3)), np.zeros((0, 3)), WEIGHTS, NORMAL) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_score_equals_the_slow_twin_and_does_not_depend_on_record_order(seed):
    labels, predictions = random_case(seed)
    expected = slow_weighted_score(labels, predictions, WEIGHTS)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert weighted_score(labels, predictions, WEIGHTS) == pytest.approx(expected, abs=1e-12)
    assert weighted_score(labels[order], predictions[order], WEIGHTS) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("decimals", [1, 2, 16])
def test_auroc_and_auprc_equal_the_slow_twin_with_and_without_ties(decimals):
    rng = np.random.default_rng(decimals)
    labels = rng.random((60, 3)) < 0.3
    scores = np.round(rng.random((60, 3)), decimals)
    metrics = official_metrics(labels, scores, WEIGHTS, NORMAL)
    expected = np.array([slow_auc(labels[:, c], scores[:, c]) for c in range(3)])
    np.testing.assert_allclose(metrics["auroc_classes"], expected[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(metrics["auprc_classes"], expected[:, 1], rtol=0, atol=1e-12)
    assert metrics["auroc"] == pytest.approx(expected[:, 0].mean(), abs=1e-12)


def test_classes_without_both_outcomes_are_left_out_of_the_means():
    labels = np.array([[0, 1, 1], [0, 1, 0], [0, 1, 0]], dtype=bool)
    scores = np.array([[0.1, 0.9, 0.9], [0.2, 0.8, 0.2], [0.3, 0.7, 0.1]])
    metrics = official_metrics(labels, scores, WEIGHTS, NORMAL)
    np.testing.assert_array_equal(metrics["auroc_classes"], [np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(metrics["auprc_classes"], [np.nan, 1.0, 1.0])
    np.testing.assert_array_equal(metrics["f_measure_classes"], [np.nan, 1.0, 1.0])
    assert metrics["auroc"] == metrics["auprc"] == metrics["f_measure"] == metrics["accuracy"] == 1.0


def test_means_are_nan_without_a_warning_where_no_class_is_defined(recwarn):
    metrics = official_metrics(np.zeros((2, 3)), np.zeros((2, 3)), WEIGHTS, NORMAL)
    assert np.isnan([metrics["auroc"], metrics["auprc"], metrics["f_measure"]]).all()
    assert not recwarn.list


def test_accuracy_counts_records_with_every_class_right():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
    predictions = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    metrics = official_metrics(labels, predictions, WEIGHTS, NORMAL, predictions=predictions)
    assert metrics["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("labels", "predictions", "weights", "normal", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 3)), WEIGHTS, 2, "must have one shape"),
        (np.zeros((2, 2)), np.zeros((2, 2)), WEIGHTS, 1, r"weights must be \(2, 2\)"),
        (np.zeros((2, 3)), np.zeros((2, 3)), WEIGHTS * np.nan, 2, "weights must be finite"),
        (np.full((2, 3), 0.4), np.zeros((2, 3)), WEIGHTS, 2, "labels must be 0 or 1"),
        (np.zeros((2, 3)), np.zeros((2, 3)), WEIGHTS, 3, "normal_index must be 0 to 2, but is 3"),
        (np.zeros(3), np.zeros(3), WEIGHTS, 2, r"labels must be \(records, classes\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(labels, predictions, weights, normal, message):
    with pytest.raises(ValueError, match=message):
        challenge_score(labels, predictions, weights, normal)


def test_scores_that_are_not_finite_are_refused_by_place():
    scores = np.zeros((3, 3))
    scores[1, 2] = np.nan
    with pytest.raises(ValueError, match="record 1, class 2 is nan"):
        as_scores(scores, "scores")


def official_weights(path: Path):
    with path.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    normal = next(i for i, codes in enumerate(header[1:]) if "426783006" in codes.split("|"))
    return np.array([[float(cell) for cell in row[1:]] for row in rows]), normal


@pytest.mark.shared
def test_every_case_of_the_official_evaluation_is_reproduced(shared_dir):
    weights, normal = official_weights(shared_dir / "reference" / "cinc2021" / "weights.csv")
    arrays = np.load(shared_dir / "parity" / "cinc2021_metrics.npz")
    cases = sorted({match[0] for name in arrays if (match := re.match(r"case\d+_", name))})
    if not cases:
        pytest.skip("no case in cinc2021_metrics.npz")
    for case in cases:
        labels, scores = arrays[f"{case}labels"], arrays[f"{case}scores"]
        ours = official_metrics(labels, scores, weights, normal, float(arrays[f"{case}threshold"]))
        for name, value in ours.items():
            np.testing.assert_allclose(value, arrays[case + name], rtol=0, atol=1e-9, err_msg=f"{case}{name}")


@pytest.mark.shared
def test_score_of_the_authors_criterion_is_reproduced(shared_dir):
    a = np.load(shared_dir / "parity" / "criteria.io.npz")
    labels, predictions, weights = a["cinc_labels"], a["cinc_preds"], a["cinc_weights"]
    normal = int(a["cinc_sinus_index"])
    inactive = np.zeros_like(labels)
    inactive[:, normal] = True
    assert weighted_score(labels, predictions, weights) == pytest.approx(float(a["cinc_observed"]), abs=1e-9)
    assert weighted_score(labels, labels, weights) == pytest.approx(float(a["cinc_correct"]), abs=1e-9)
    assert weighted_score(labels, inactive, weights) == pytest.approx(float(a["cinc_inactive"]), abs=1e-9)
    score = challenge_score(labels, predictions, weights, normal)
    assert score == pytest.approx(float(a["cinc_score"]), abs=1e-9)


def test_the_confusion_of_a_record_is_shared_among_the_classes_of_its_labels_and_predictions():
    labels = np.array([[1, 1, 0], [0, 0, 1]], dtype=bool)
    predictions = np.array([[1, 0, 1], [0, 0, 1]], dtype=bool)
    expected = [[1 / 3, 0, 1 / 3], [1 / 3, 0, 1 / 3], [0, 0, 1]]
    np.testing.assert_allclose(weighted_confusion(labels, predictions), expected)
