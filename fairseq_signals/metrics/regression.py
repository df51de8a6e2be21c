"""Regression: mean absolute error, root mean squared error, R2 and Pearson's correlation of each target.

N records, K targets everywhere. All are functions of sums over records, so that those of a bootstrap's
resample are the same functions of weighted sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

METRICS = ("mae", "rmse", "r2", "pearson")


def regression_metrics(truth: ArrayLike, predicted: ArrayLike) -> dict[str, np.ndarray]:
    """All metrics of each target, by name: `METRICS`.

    Args:
        truth, predicted: (N, K), in the targets' units.

    Returns:
        `mae` and `rmse` in the targets' units, `r2` (1 - squared errors / squares about the truth's mean) and
        `pearson`, each (K,) float64; NaN where they are not defined: without records, and for the last two
        where the truth, or for `pearson` what is predicted, does not vary.
    """
    return metrics_of_moments(moments(truth, predicted).sum(axis=0))


def moments(truth: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """What each record adds to the sums of `metrics_of_moments`, (N, 8, K)."""
    y, p = (np.asarray(values, dtype=np.float64) for values in (truth, predicted))
    if y.ndim != 2 or y.shape != p.shape:
        raise ValueError(f"truth and predicted must be one (N, K), but are {y.shape} and {p.shape}")
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise ValueError("truth and predicted must be finite")
    # about the means of all, so that the differences of moments keep their digits
    y_c, p_c = (values - values.mean(axis=0) if len(values) else values for values in (y, p))
    columns = (np.ones_like(y), np.abs(p - y), (p - y) ** 2, y_c, p_c, y_c**2, p_c**2, y_c * p_c)
    return np.stack(columns, axis=1)


def metrics_of_moments(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics by name, (...), of sums (8, ...) of the records' `moments`."""
    n, errors, squared, y, p, yy, pp, yp = sums
    y_spread, p_spread = _spread(y, y, yy, yy * yy, n), _spread(p, p, pp, pp * pp, n)
    return {
        "mae": _divided(errors, n),
        "rmse": np.sqrt(_divided(squared, n)),
        "r2": 1.0 - _divided(squared, y_spread),
        "pearson": _divided(_spread(y, p, yp, yy * pp, n), np.sqrt(y_spread * p_spread)),
    }


def _spread(
    a: np.ndarray, b: np.ndarray, products: np.ndarray, squares: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """The sum of products about the means; 0 where it is but rounding, by the product of sums of squares."""
    about_means = products - _divided(a * b, n)
    return np.where(np.abs(about_means) > 1e-12 * np.sqrt(squares), about_means, 0.0)


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)
