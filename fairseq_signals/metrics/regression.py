"""Regression: mean absolute error, root mean squared error, R2 and Pearson's correlation of each target.

N records, K targets everywhere. With weights the metrics are those of a set in which each record is there as
often as its weight says, as in a bootstrap; many resamples are one matrix product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

METRICS = ("mae", "rmse", "r2", "pearson")


def regression_metrics(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None
) -> dict[str, np.ndarray]:
    """All metrics of each target, by name: `METRICS`.

    Args:
        truth, predicted: (N, K), in the targets' units.
        weights: (..., N) how often each record counts; by default once.

    Returns:
        `mae` and `rmse` in the targets' units, `r2` (1 - squared errors / squares about the truth's mean) and
        `pearson`, each (..., K) float64; NaN where they are not defined: without records, and for the last
        two where the truth, or for `pearson` what is predicted, does not vary.
    """
    y, p = (np.asarray(values, dtype=np.float64) for values in (truth, predicted))
    if y.ndim != 2 or y.shape != p.shape:
        raise ValueError(f"truth and predicted must be one (N, K), but are {y.shape} and {p.shape}")
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise ValueError("truth and predicted must be finite")
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    n = w.sum(axis=-1)[..., None]
    # about the means of all, so that the differences of moments keep their digits
    y_c, p_c = (values - values.mean(axis=0) if len(values) else values for values in (y, p))
    squared = w @ (p - y) ** 2
    y_spread, p_spread = _spread(w, y_c, y_c, n), _spread(w, p_c, p_c, n)
    return {
        "mae": _divided(w @ np.abs(p - y), n),
        "rmse": np.sqrt(_divided(squared, n)),
        "r2": 1.0 - _divided(squared, y_spread),
        "pearson": _divided(_spread(w, y_c, p_c, n), np.sqrt(y_spread * p_spread)),
    }


def _spread(w: np.ndarray, a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The weighted sum of products about the weighted means, (..., K); 0 where it is but rounding."""
    raw = w @ (a * b)
    about_means = raw - _divided((w @ a) * (w @ b), n)
    scale = np.sqrt((w @ (a * a)) * (w @ (b * b)))
    return np.where(np.abs(about_means) > 1e-12 * scale, about_means, 0.0)


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)
