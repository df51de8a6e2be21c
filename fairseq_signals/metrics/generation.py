"""How far made ECGs are like real ones: as a set, by what they show, and by what no real ECG breaks."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression

from fairseq_signals.metrics.classification import (
    as_binary,
    auroc_per_class,
    check_same_shape,
    has_both_outcomes,
)

N_NEIGHBOURS = 3


def feature_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two sets of features, squared, as if each were normal (arXiv:1706.08500, Eq. 6).

    With the condition that an ECG was made for among its features, it tells whether they go together (after
    arXiv:1907.11996). It depends on the model that gives the features: compare within one study alone.

    Args:
        a: (N, D).
        b: (M, D).

    Raises:
        ValueError: they are not of the same width, or one has less than two rows.

    Warns:
        UserWarning: one has fewer rows than D + 1, so that its covariance is not known.
    """
    (mean_a, covariance_a), (mean_b, covariance_b) = (_moments(rows) for rows in _of_one_width(a, b))
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    common = np.sqrt(np.linalg.eigvalsh(root @ covariance_b @ root).clip(min=0)).sum()
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * common
    return float(np.square(mean_a - mean_b).sum() + max(spread, 0.0))


def precision_recall(real: np.ndarray, made: np.ndarray, k: int = N_NEIGHBOURS) -> tuple[float, float]:
    """Share of made features among the real ones, and of real ones among the made (arXiv:1904.06991, Eq. 2).

    A row is among others if it is as near to one of them as the k-th nearest of those is.

    Args:
        real: (N, D).
        made: (M, D).
        k: neighbours, fewer than N and than M.

    Raises:
        ValueError: they are not of the same width, or one has no k neighbours.
    """
    real, made = _of_one_width(real, made, k + 1)
    between = cdist(real, made)
    precision = (between <= _reach(real, k)[:, None]).any(axis=0).mean()
    recall = (between <= _reach(made, k)[None]).any(axis=1).mean()
    return float(precision), float(recall)


def nearest_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far from each of (N, D) the nearest of (M, D) is, (N,): near 0 of what was learnt by heart."""
    rows, others = _of_one_width(rows, others, 1)
    return np.asarray(cdist(rows, others).min(axis=1))


def made_for_real_auroc(
    made: np.ndarray, made_labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray
) -> np.ndarray:
    """AUROC on real ECGs of logistic regressions that know made ones alone, (C,) (CAS, arXiv:1905.10887).

    Args:
        made, real: (N, D) and (M, D) features.
        made_labels, real_labels: (N, C) and (M, C), of 0 and 1.

    Returns:
        NaN of a class that one of them has in all ECGs or in none.
    """
    made, real = _of_one_width(made, real)
    wanted = as_binary(made_labels, "made_labels")
    mean, deviation = made.mean(axis=0), made.std(axis=0).clip(min=1e-9)
    scores = np.full((len(real), wanted.shape[1]), np.nan)
    learnt = has_both_outcomes(wanted)
    for column in np.flatnonzero(learnt):
        model = LogisticRegression(C=0.1, max_iter=1000).fit((made - mean) / deviation, wanted[:, column])
        scores[:, column] = model.decision_function((real - mean) / deviation)
    truth = as_binary(real_labels, "real_labels")
    check_same_shape(real_labels=truth, scores=scores)
    found = np.full(len(learnt), np.nan)
    found[learnt] = auroc_per_class(truth[:, learnt], scores[:, learnt])
    return found


def lead_residuals(signals_mv: np.ndarray) -> np.ndarray:
    """How far limb leads are from what they must be, root mean squares in mV: (N, 12, T) -> (N, 2).

    Of II - I - III (Einthoven) and of aVR + aVL + aVF (Goldberger), which are 0 of any electrodes; of a
    recording there is its rounding, and what was filtered lead by lead.
    """
    i, ii, iii, avr, avl, avf = (signals_mv[:, lead].astype(np.float64) for lead in range(6))
    residuals = np.stack([ii - i - iii, avr + avl + avf], axis=1)
    return np.asarray(np.sqrt(np.square(residuals).mean(axis=2)))


def interval_errors(wanted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """The median of how far measured numbers are from those wanted, and the share that could be measured.

    Args:
        wanted, measured: (N,), NaN where there is none; those without one that is wanted do not count.
    """
    told = ~np.isnan(wanted)
    errors = np.abs(measured[told] - wanted[told])
    there = ~np.isnan(errors)
    if not there.any():
        return float("nan"), 0.0
    return float(np.median(errors[there])), float(there.mean())


def _of_one_width(a: np.ndarray, b: np.ndarray, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < least:
        raise ValueError(
            f"features must be (N, D) and (M, D), {least} rows each at least, but are {a.shape} and {b.shape}"
        )
    return a, b


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(rows) <= rows.shape[1]:
        warnings.warn(
            f"{len(rows)} rows of {rows.shape[1]} features: their covariance is not known, the distance is "
            "too large",
            stacklevel=3,
        )
    return rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False))


def _reach(rows: np.ndarray, k: int) -> np.ndarray:
    """(N,) how far the k-th nearest other row is from each."""
    return np.asarray(np.partition(cdist(rows, rows), k, axis=1)[:, k])  # the nearest is the row itself
