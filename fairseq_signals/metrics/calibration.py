"""Calibration: whether what is said to have probability p happens in a share p of the cases."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class CalibrationBins(NamedTuple):
    """Cases in bins of equal width by their probability; K bins, the empty ones left out."""

    predicted: np.ndarray
    """(K,) mean probability."""
    observed: np.ndarray
    """(K,) share of the cases where it happened."""
    n: np.ndarray
    """(K,) cases."""


def calibration_bins(outcomes: ArrayLike, probabilities: ArrayLike, n_bins: int = 10) -> CalibrationBins:
    """What happened against what was predicted, over all elements of two arrays of one shape.

    Args:
        outcomes: bool or 0/1.
        probabilities: in [0, 1]; a value on the edge of two bins belongs to the upper one.
        n_bins: bins between 0 and 1.
    """
    happened = np.asarray(outcomes, dtype=np.float64).reshape(-1)
    predicted = np.asarray(probabilities, dtype=np.float64).reshape(-1)
    if happened.shape != predicted.shape:
        raise ValueError(f"there are {happened.size} outcomes, but {predicted.size} probabilities")
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise ValueError("probabilities must be in [0, 1]")
    index = np.minimum((predicted * n_bins).astype(np.int64), n_bins - 1)
    count, sum_predicted, sum_happened = (
        np.bincount(index, weights, n_bins) for weights in (None, predicted, happened)
    )
    kept = count > 0
    return CalibrationBins(
        sum_predicted[kept] / count[kept], sum_happened[kept] / count[kept], count[kept].astype(np.int64)
    )


def expected_calibration_error(bins: CalibrationBins) -> float:
    """Mean distance of observed from predicted, weighted by the cases of each bin; NaN without any."""
    total = bins.n.sum()
    return float((np.abs(bins.observed - bins.predicted) * bins.n).sum() / total) if total else float("nan")


def wilson_interval(share: np.ndarray, count: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of a share of `count` cases (Wilson 1927), 95 % for the default z: lower, upper.

    It holds the share and lies in [0, 1], also where rounding would put an end 1e-16 beside 0 or 1.
    """
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


def negative_log_likelihood(
    outcomes: np.ndarray, probabilities: np.ndarray, exclusive: bool = False
) -> float:
    """Minus the mean log of the probability of what happened, over all elements of two arrays of one shape.

    Args:
        outcomes: (..., C) bool.
        probabilities: (..., C) in [0, 1].
        exclusive: of the classes exactly one happens: the mean is over cases, not their classes.
    """
    tiny = np.finfo(np.float64).tiny
    happened = np.log(np.maximum(probabilities[outcomes], tiny)).sum()
    if exclusive:
        return float(-happened / np.count_nonzero(outcomes))
    other = np.log(np.maximum(1 - probabilities[~outcomes], tiny)).sum()
    return float(-(happened + other) / outcomes.size)
