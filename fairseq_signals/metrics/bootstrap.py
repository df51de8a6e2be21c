"""Confidence intervals of metrics, by patients: what is drawn again, and counted, are people, not records.

G patients, R resamples, M metrics, C classes. A metric is a function of how often each patient counts. Its
interval is, on a scale g on which it is unbounded (the logit of an AUROC),

    g(value) - bias  +-  t * standard error

- bias: the median of g over the resamples, in each of which G patients are drawn with replacement, minus
  g(value). Average precision of few positives is too high by as much as half its standard error.
- standard error: the infinitesimal jackknife (Efron, The Jackknife, the Bootstrap and Other Resampling Plans,
  1982, Ch. 6): the root of the sum of squares of the patients' influences, times G / (G - 1).
- t: the 97.5 % quantile of Student's t. Its degrees of freedom are 1.5 times the number of patients that
  the variance rests on, (sum u^2)^2 / sum u^4 of influences u: where a few positives decide, few.

How often it holds the truth: `benchmarks/coverage.py` and `docs/evaluation.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Callable, NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from fairseq_signals.metrics.weighted import Statistic

METHOD = "bias-corrected bootstrap by patient, 95 %"
SEED = 2021
LEVEL = 0.975
CHUNK = 1 << 13  # resamples at a time x patients: fit for the processor's cache; no draw depends on it
_FREEDOM = 1.5  # degrees of freedom for each patient that the variance rests on


class Bounds(NamedTuple):
    """The ends of a 95 % confidence interval; NaN where there is none."""

    low: float = math.nan
    high: float = math.nan


class Difference(NamedTuple):
    """How much more one model reaches than another on the same records."""

    value: float
    bounds: Bounds
    p: float
    """Two-sided, of no difference: the level at which the interval would end at 0."""


class Origin(NamedTuple):
    """A part of a metric's variance that is not of the patients, such as that of the seeds of trainings."""

    variance: float
    freedom: float
    """Its degrees of freedom."""


class _Scale(NamedTuple):
    """Where a metric has no ends: the function, its inverse and its slope."""

    forward: Callable
    back: Callable
    slope: Callable


SCALES = {
    "logit": _Scale(logit, expit, lambda x: 1 / (x * (1 - x))),  # from 0 to 1
    "log loss": _Scale(lambda x: -np.log1p(-x), lambda y: -np.expm1(-y), lambda x: 1 / (1 - x)),  # up to 1
    "log": _Scale(np.log, np.exp, lambda x: 1 / x),  # from 0
    "arctanh": _Scale(np.arctanh, np.tanh, lambda x: 1 / (1 - x**2)),  # from -1 to 1
    "plain": _Scale(np.asarray, np.asarray, lambda x: 1.0),
}


def intervals(
    statistics: Sequence[Statistic], n_resamples: int = 1000, seed: int = SEED
) -> dict[str, Bounds]:
    """The interval of each metric, by name.

    Args:
        statistics: of the same patients.
        n_resamples: how many times patients are drawn; the same seed draws the same.
        seed: of the draws.
    """
    return intervals_from(statistics, resampled(statistics, n_resamples, seed)) if statistics else {}


def intervals_from(statistics: Sequence[Statistic], draws: Sequence[np.ndarray]) -> dict[str, Bounds]:
    """The same of the metrics in resamples, (M, R) of each statistic."""
    found = {}
    for statistic, drawn in zip(statistics, draws):
        values = statistic.values(np.ones((statistic.n_patients, 1)))[:, 0]
        rows = zip(statistic.names, statistic.scales, values, drawn, statistic.influence())
        for name, scale, value, of_draws, parts in rows:
            found[name] = interval_of(scale, value, of_draws, parts, statistic.n_rarer)
    return found


def differences(
    ours: Sequence[Statistic],
    others: Sequence[Statistic],
    n_resamples: int = 1000,
    seed: int = SEED,
) -> dict[str, Difference]:
    """By how much each metric of `ours` is above that of `others`, from the same resamples of both."""
    found = {}
    draws = (resampled(each, n_resamples, seed) for each in (ours, others))
    for one, other, drawn, drawn_other in zip(ours, others, *draws):
        ones = np.ones((one.n_patients, 1))
        parts = one.influence() - other.influence()
        rows = zip(one.names, one.values(ones)[:, 0], other.values(ones)[:, 0], drawn - drawn_other, parts)
        for name, a, b, of_draws, part in rows:
            found[name] = difference_of(a - b, of_draws, part)
    return found


def resampled(statistics: Sequence[Statistic], n_resamples: int, seed: int) -> list[np.ndarray]:
    """The metrics in each resample, (M, R) of each statistic."""
    n_patients = statistics[0].n_patients
    random = np.random.default_rng(seed)
    chunks, size = [], max(16, CHUNK // n_patients)
    for first in range(0, n_resamples, size):
        draws = random.integers(n_patients, size=(min(size, n_resamples - first), n_patients))
        counts = [np.bincount(draw, minlength=n_patients) for draw in draws]
        weights = np.stack(counts, axis=1).astype(np.float64)  # (G, R)
        chunks.append([statistic.values(weights) for statistic in statistics])
    return [np.concatenate(parts, axis=1) for parts in zip(*chunks)]


def interval_of(
    scale: str,
    value: float,
    drawn: np.ndarray,
    parts: np.ndarray,
    n_rarer: int,
    origins: Sequence[Origin] = (),
) -> Bounds:
    """The interval of a metric.

    Args:
        scale: of `SCALES`.
        value: of the metric.
        drawn: (R,), in resamples of patients.
        parts: (C, G), the influence of each patient.
        n_rarer: see `Statistic`.
        origins: of further variance.
    """
    if scale == "logit" and value in (0, 1) and n_rarer:
        beyond = (1 - LEVEL) ** (1 / n_rarer)  # exact binomial, all of as many patients
        return Bounds(0.0, 1 - beyond) if value == 0 else Bounds(beyond, 1.0)
    forward, back, slope = SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        centre, spread = forward(value), slope(value)
        moved = forward(drawn[~np.isnan(drawn)]) - centre
    error, freedom = _standard_error(parts, origins)
    if not np.isfinite(centre) or not freedom or not len(moved):
        return Bounds()
    bias = np.median(moved)
    half = student.ppf(LEVEL, freedom) * error * spread
    low, high = back(centre - bias - half), back(centre - bias + half)
    return Bounds(min(float(low), float(value)), max(float(high), float(value)))


def difference_of(
    value: float, drawn: np.ndarray, parts: np.ndarray, origins: Sequence[Origin] = ()
) -> Difference:
    """A difference between two metrics with its interval; arguments as those of `interval_of`."""
    error, freedom = _standard_error(parts, origins)
    if not error:
        same = value == 0 and len(parts)
        return Difference(float(value), Bounds(0.0, 0.0) if same else Bounds(), 1.0 if same else math.nan)
    centre = value - (np.nanmedian(drawn) - value)
    half = student.ppf(LEVEL, freedom) * error
    p = 2 * student.sf(abs(centre) / error, freedom)
    return Difference(float(value), Bounds(float(centre - half), float(centre + half)), float(p))


def _standard_error(parts: np.ndarray, origins: Sequence[Origin] = ()) -> tuple[float, float]:
    """Of a metric, by its influences (C, G); and its degrees of freedom. Both 0: nothing tells of an error.

    The number of patients that a variance rests on is taken by class, and averaged over classes by their
    variances: that of a class with few positives is uncertain however many classes there are. Variances of
    several origins add up, with the degrees of freedom of Satterthwaite (1946).
    """
    n_patients = parts.shape[1]
    squares, fourths = np.square(parts).sum(axis=1), np.power(parts, 4).sum(axis=1)
    variance, freedom = 0.0, 0.0
    if n_patients >= 2 and squares.any():
        variance = np.square(parts.sum(axis=0)).sum() * n_patients / (n_patients - 1)
        told = squares > 0
        freedom = _FREEDOM * squares.sum() / (fourths[told] / squares[told]).sum()
    others = [origin for origin in origins if origin.variance > 0]
    if others:
        found = [*others, *([Origin(variance, freedom)] if variance else [])]
        variance = sum(origin.variance for origin in found)
        freedom = variance**2 / sum(origin.variance**2 / origin.freedom for origin in found)
    return math.sqrt(variance), freedom
