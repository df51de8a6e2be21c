"""The metrics of the PhysioNet/Computing in Cardiology Challenge 2021 (Reyna et al., CinC 2021).

N records, C scored classes everywhere. The challenge score rewards a wrong diagnosis by its similarity to
the right one, through a (C, C) weight matrix whose row is the label and whose column is the prediction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fairseq_signals.metrics.classification import as_binary, check_same_shape


def challenge_score(
    labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike, normal_index: int
) -> float:
    """The normalised challenge score: 1 for the labels themselves, 0 for "always normal", may be negative.

    Args:
        labels: (N, C) bool, every class that a record has.
        predictions: (N, C) bool.
        weights: (C, C) reward for predicting the column's class where the row's class is true.
        normal_index: the class "sinus rhythm", which the inactive classifier always predicts.

    Returns:
        `(observed - inactive) / (correct - inactive)`; 0.0 where perfect and inactive score the same
        (every record is just normal, or there is none).
    """
    truth, predicted = as_binary(labels, "labels"), as_binary(predictions, "predictions")
    n_classes = truth.shape[1]
    if not 0 <= normal_index < n_classes:
        raise ValueError(f"normal_index must be 0 to {n_classes - 1}, but is {normal_index} instead")
    inactive_prediction = np.zeros_like(truth)
    inactive_prediction[:, normal_index] = True
    observed = weighted_score(truth, predicted, weights)
    correct = weighted_score(truth, truth, weights)
    inactive = weighted_score(truth, inactive_prediction, weights)
    return 0.0 if correct == inactive else (observed - inactive) / (correct - inactive)


def weighted_score(labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike) -> float:
    """The challenge score before normalisation: the weighted sum of `weighted_confusion`."""
    confusion = weighted_confusion(labels, predictions)
    weights = np.asarray(weights, dtype=float)
    n_classes = len(confusion)
    if weights.shape != (n_classes, n_classes):
        raise ValueError(
            f"weights must be ({n_classes}, {n_classes}), but have shape {weights.shape} instead"
        )
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite, but hold NaN or infinity")
    return float((weights * confusion).sum())


def weighted_confusion(labels: ArrayLike, predictions: ArrayLike) -> np.ndarray:
    """The challenge's confusion matrix, (C, C): rows true, columns predicted.

    Each pair (true class, predicted class) of a record counts as 1 divided by the number of classes in the
    union of the record's labels and predictions (at least 1).
    """
    truth, predicted = as_binary(labels, "labels"), as_binary(predictions, "predictions")
    check_same_shape(labels=truth, predictions=predicted)
    union = np.maximum((truth | predicted).sum(axis=1), 1)
    return truth.T.astype(float) @ (predicted / union[:, None])  # (C, N) x (N, C) -> (C, C)


def score_terms(
    labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike, normal_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """What each record adds to `challenge_score`: to its numerator and to its denominator, (N,) each."""
    truth, predicted = as_binary(labels, "labels"), as_binary(predictions, "predictions")
    inactive = np.zeros_like(truth)
    inactive[:, normal_index] = True
    rewards = truth @ np.asarray(weights, dtype=float)  # (N, C), of predicting each class

    def earned(predicted: np.ndarray) -> np.ndarray:
        return (rewards * predicted).sum(axis=1) / np.maximum((truth | predicted).sum(axis=1), 1)

    return earned(predicted) - earned(inactive), earned(truth) - earned(inactive)
