"""What methods reach over patients and seeds, and by how much one is above another.

A metric of a method is the mean over its pre-training seeds. Its error has two origins: other patients,
whose part is found as in all of this package (`metrics/bootstrap.py`: bias by bootstrap over patients,
standard error by infinitesimal jackknife, here of the mean over seeds), and other seeds, whose part is the
variance between seeds over their number. Two seeds tell little of that variance, so it is pooled over
methods, but for those whose seeds are all alike, such as weights that were not trained here. Of a difference
patients are the same, so that what is hard for both cancels out. The variance between seeds holds some of
the patients', so that intervals are rather too wide than too narrow (as in Owen 2007, The pigeonhole
bootstrap).

Beside the interval each pair has the share of draws in which one is above: each draws patients with
replacement, the same for all methods, and seeds with replacement, of each method for itself, whose deviations
are stretched by sqrt(S / (S - 1)), without which few seeds would vary too little.

S seeds, R draws, C classes, G patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from fairseq_signals.evaluation.intervals import statistics_of, values_of
from fairseq_signals.evaluation.saved_results import SavedEvaluation
from fairseq_signals.metrics.bootstrap import (
    SEED,
    Bounds,
    Difference,
    Origin,
    difference_of,
    interval_of,
    resampled,
)

LEVEL = 0.05  # of error, of all pairs of a table together
#: How the names begin of metrics that are better the lower they are.
_LOWER = ("mae", "rmse")


class Score(NamedTuple):
    """A metric of one model, and what a bootstrap over patients needs of it."""

    scale: str
    value: float
    draws: np.ndarray
    """(R,), in resamples of patients."""
    parts: np.ndarray
    """(C, G), the influence of each patient."""
    n_rarer: int

    @property
    def bounds(self) -> Bounds:
        """Over patients."""
        return interval_of(*self)


class Pair(NamedTuple):
    """How one method compares with another."""

    difference: Difference
    share: float
    """Of draws, in which it is the better one; draws that are equal count half."""


def scores_of(saved: SavedEvaluation, place: int, n_resamples: int) -> dict[str, Score]:
    """The metrics of a model by name, on the lead set at a place."""
    statistics = statistics_of(saved.task, saved.arrays, place)
    found = {}
    for statistic, drawn in zip(statistics, resampled(statistics, n_resamples, SEED)):
        values = values_of(statistic).items()
        for (name, value), *of_metric in zip(values, statistic.scales, drawn, statistic.influence()):
            scale, draws, parts = of_metric
            found[name] = Score(scale, value, draws, parts, statistic.n_rarer)
    return found


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of a metric over lead sets, or seeds, of the same patients."""
    value = float(np.mean([score.value for score in scores]))
    draws, parts = (np.mean(each, axis=0) for each in zip(*((s.draws, s.parts) for s in scores)))
    return Score(scores[0].scale, value, draws, parts, scores[0].n_rarer)


def seed_variance(methods: Iterable[Sequence[Score]]) -> Origin:
    """The variance between seeds, pooled over the methods whose seeds differ; 0 where there are none."""
    squares, freedom = 0.0, 0
    for seeds in methods:
        values = np.array([score.value for score in seeds])
        if np.ptp(values) > 0:
            squares += float(np.square(values - values.mean()).sum())
            freedom += len(values) - 1
    return Origin(squares / max(freedom, 1), freedom)


NO_SEEDS = Origin(0.0, 0)


class Measured:
    """A metric of a method, the mean over its seeds.

    Args:
        seeds: one each, of the same patients.
        number: another one for each method: of its draws of seeds.
        of_seeds: the variance between seeds.
    """

    def __init__(self, seeds: Sequence[Score], number: int, of_seeds: Origin = NO_SEEDS) -> None:
        self._mean, self.n_seeds = mean_score(seeds), len(seeds)
        self._of_seeds = of_seeds
        self._share = 1 / len(seeds) if np.ptp([score.value for score in seeds]) > 0 else 0.0
        self.draws = self._mean.draws
        if len(seeds) > 1:
            drawn = np.stack([score.draws for score in seeds])
            chosen = np.random.default_rng([SEED, number]).integers(len(seeds), size=drawn.shape)
            moved = np.take_along_axis(drawn, chosen, axis=0).mean(axis=0) - self._mean.draws
            self.draws = self._mean.draws + np.sqrt(len(seeds) / (len(seeds) - 1)) * moved

    @property
    def value(self) -> float:
        """Over all seeds and patients."""
        return self._mean.value

    @property
    def bounds(self) -> Bounds:
        """95 %, over patients and seeds."""
        return interval_of(*self._mean, self._origins(self._share))

    def less(self, other: Measured, lower_is_better: bool = False) -> Pair:
        """This method less another one."""
        one, two = self._mean, other._mean
        origins = self._origins(self._share + other._share)
        found = difference_of(one.value - two.value, one.draws - two.draws, one.parts - two.parts, origins)
        above = (other.draws - self.draws) if lower_is_better else (self.draws - other.draws)
        above = above[~np.isnan(above)]
        share = np.mean(above > 0) + np.mean(above == 0) / 2 if len(above) else np.nan
        return Pair(found, float(share))

    def _origins(self, share: float) -> list[Origin]:
        return [self._of_seeds._replace(variance=share * self._of_seeds.variance)]


def is_lower_better(metric: str) -> bool:
    """Whether a metric is an error."""
    return metric.startswith(_LOWER)


def holm(p: Sequence[float]) -> np.ndarray:
    """P-values that hold for all of a family together (Holm 1979); NaN counts as 1 and stays NaN."""
    known = np.nan_to_num(np.asarray(p, dtype=np.float64), nan=1.0)
    order = np.argsort(known, kind="stable")
    adjusted = np.empty_like(known)
    adjusted[order] = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1)).clip(max=1)
    return np.where(np.isnan(p), np.nan, adjusted)


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each method in each cell, 1 the highest value, ties shared; cells x methods."""
    return rankdata(-np.asarray(values), axis=1)
