"""Classification: AUROC, AUPRC, accuracy and F-measure, per class (one against the rest) and averaged.

N records, C classes everywhere. AUROC and AUPRC (average precision, no interpolation) come from
scikit-learn; a value that is not defined is NaN, is left out of the mean, and the mean says of how many
classes it is.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, roc_auc_score

from fairseq_signals.metrics.decisions import predicted_classes

AVERAGES = ("macro", "micro")


def classification_metrics(
    labels: ArrayLike,
    probabilities: ArrayLike,
    threshold: float | None = 0.5,
    average: str = "macro",
) -> dict[str, Any]:
    """All threshold-free and thresholded metrics of one result.

    Args:
        labels: (N, C) bool or 0/1.
        probabilities: (N, C) in [0, 1].
        threshold: see `predicted_classes`; None: a record is of exactly one class.
        average: "macro" is the mean over the classes for which the metric is defined, "micro" pools the
            decisions of all classes before the metric is taken.

    Returns:
        `auroc`, `auprc`, `accuracy`, `f_measure`: averaged, float (NaN if nothing is defined); the same
        names with `_classes`: (C,) float64. AUROC and AUPRC of a class need both outcomes, F-measure a
        positive label or prediction, else they are NaN. `exact_match`: fraction of records with every
        class right, which is `accuracy` too where a record is of exactly one.
        `n_records`, `n_classes`, and `n_classes_scored`: the classes with both outcomes.
    """
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {', '.join(AVERAGES)}, but is {average!r} instead")
    truth, scores = as_binary(labels, "labels"), as_scores(probabilities, "probabilities")
    check_same_shape(labels=truth, probabilities=scores)
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(
            f"probabilities must be in [0, 1], but range from {scores.min():g} to {scores.max():g}; "
            "pass logits through a sigmoid first"
        )
    predictions = predicted_classes(scores, threshold)
    per_class = _metrics_per_class(truth, scores, predictions)
    averaged = per_class
    if average == "micro":
        averaged = _metrics_per_class(*(array.reshape(-1, 1) for array in (truth, scores, predictions)))
    matched = exact_match(truth, predictions)
    return {
        **{name: nan_mean(values) for name, values in averaged.items()},
        **({"accuracy": matched} if threshold is None else {}),
        **{f"{name}_classes": values for name, values in per_class.items()},
        "exact_match": matched,
        "n_records": len(truth),
        "n_classes": truth.shape[1],
        "n_classes_scored": int(has_both_outcomes(truth).sum()),
    }


def _metrics_per_class(
    truth: np.ndarray, scores: np.ndarray, predictions: np.ndarray
) -> dict[str, np.ndarray]:
    right = (truth == predictions).astype(float)
    return {
        "auroc": auroc_per_class(truth, scores),
        "auprc": np.where(has_both_outcomes(truth), auprc_per_class(truth, scores), np.nan),
        "accuracy": np.array([nan_mean(of_class) for of_class in right.T]),
        "f_measure": f_measure_per_class(truth, predictions),
    }


def auroc_per_class(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve (trapezoids, ties pooled) of each class, (C,); NaN without both outcomes."""
    return _per_class(roc_auc_score, labels, scores, has_both_outcomes(labels))


def auprc_per_class(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision (steps, ties pooled) of each class, (C,); NaN without positives."""
    return _per_class(average_precision_score, labels, scores, np.any(labels, axis=0))


def f_measure_per_class(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """F1 of each class, (C,); NaN where there is neither a positive label nor a positive prediction."""
    hits = (labels & predictions).sum(axis=0)
    positives = labels.sum(axis=0) + predictions.sum(axis=0)
    return np.divide(2 * hits, positives, out=np.full(len(hits), np.nan), where=positives > 0)


def exact_match(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Fraction of records whose every class is right; NaN without records."""
    return nan_mean((labels == predictions).all(axis=1).astype(float))


def has_both_outcomes(labels: np.ndarray) -> np.ndarray:
    """(C,) bool: the class has at least one positive and one negative record."""
    return np.asarray(labels.any(axis=0) & ~labels.all(axis=0))


def nan_mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN, without a warning, where nothing is left."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def as_binary(array: ArrayLike, name: str) -> np.ndarray:
    """The array as (N, C) bool; anything but booleans, zeros and ones is an error."""
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"{name} must be (records, classes), but have shape {array.shape} instead")
    if array.dtype != bool and not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must be 0 or 1 (one column a class), but hold other values")
    return array.astype(bool)


def as_scores(array: ArrayLike, name: str) -> np.ndarray:
    """The array as (N, C) floats; NaN and infinity are an error that names the first place."""
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"{name} must be (records, classes), but have shape {array.shape} instead")
    finite = np.isfinite(array)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} must be finite, but record {row}, class {column} is {array[row, column]} "
            f"({(~finite).sum()} such values in all)"
        )
    return array


def check_same_shape(**arrays: np.ndarray) -> None:
    """Raise if two named arrays differ in shape."""
    (first, a), *rest = arrays.items()
    for name, b in rest:
        if a.shape != b.shape:
            raise ValueError(f"{first} and {name} must have one shape, but have {a.shape} and {b.shape}")


def _per_class(
    metric: Callable[[np.ndarray, np.ndarray], float],
    labels: np.ndarray,
    scores: np.ndarray,
    defined: np.ndarray,
) -> np.ndarray:
    values = np.full(labels.shape[1], np.nan)
    for c in np.flatnonzero(defined):
        values[c] = metric(labels[:, c], scores[:, c])
    return values
