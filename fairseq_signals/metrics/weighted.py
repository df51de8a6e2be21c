"""Metrics as functions of how often each patient counts: what a bootstrap over patients needs of them.

N items, G patients, R weightings, M metrics, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Protocol

import numpy as np
from numpy.typing import ArrayLike

from fairseq_signals.metrics.classification import as_binary, as_scores, check_same_shape, has_both_outcomes
from fairseq_signals.metrics.ranking import RankedClass

_STEP = 1e-6  # of a sum, in numerical derivatives


class Statistic(Protocol):
    """One or several metrics of the same items.

    Attributes:
        names: (M,) of the metrics.
        scales: (M,) of `bootstrap.SCALES`, where each metric has no ends.
        n_patients: G.
        n_rarer: patients with the rarest outcome: what a value of exactly 0 or 1 rests on.
    """

    names: Sequence[str]
    scales: Sequence[str]
    n_patients: int
    n_rarer: int

    def values(self, weights: np.ndarray) -> np.ndarray:
        """The metrics, (M, R), where the items of each patient count as often as `weights` (G, R) say.

        NaN where a metric is not defined; a class for which it is not is left out of the mean over classes.
        """
        ...

    def influence(self) -> np.ndarray:
        """Derivatives of the metrics by the weight of each patient where all are 1, (M, C, G).

        Of each class its part: their sum over classes is the metric's.
        """
        ...


class Areas:
    """Macro AUROC and macro average precision, over the classes with both outcomes, as in scikit-learn.

    Args:
        labels: (N, C) bool or 0/1.
        scores: (N, C).
        patients: (N,) whose each item is; None: each of its own.
    """

    names: Sequence[str] = ("macro_auroc", "macro_auprc")
    scales: Sequence[str] = ("logit", "logit")

    def __init__(self, labels: ArrayLike, scores: ArrayLike, patients: ArrayLike | None = None) -> None:
        truth, values = as_binary(labels, "labels"), as_scores(scores, "scores")
        check_same_shape(labels=truth, scores=values)
        patient, self.n_patients = index_patients(patients, len(truth))
        self._classes = [
            RankedClass.of(truth[:, c], values[:, c], patient, self.n_patients)
            for c in np.flatnonzero(has_both_outcomes(truth))
        ]
        self.n_rarer = min((ranked.n_rarer for ranked in self._classes), default=0)

    def values(self, weights: np.ndarray) -> np.ndarray:
        total = np.zeros((2, weights.shape[1]))
        n_defined = np.zeros_like(total)
        for ranked in self._classes:
            areas = ranked.areas(weights)
            defined = ~np.isnan(areas)
            total += np.where(defined, areas, 0)
            n_defined += defined
        return _divide(total, n_defined)

    def influence(self) -> np.ndarray:
        if not self._classes:
            return np.zeros((2, 0, self.n_patients))
        parts = np.stack([ranked.influence() for ranked in self._classes], axis=1)
        return parts / len(self._classes)


class OfSums:
    """A metric of sums over items, such as a share, a mean error or a correlation.

    Args:
        name: of the metric.
        scale: where it has no ends.
        columns: (N, K), what is summed.
        function: from sums (K, R) to the metric of each class (C, R), NaN where undefined; smooth.
        patients: (N,) whose each item is; None: each of its own.
    """

    def __init__(
        self,
        name: str,
        scale: str,
        columns: ArrayLike,
        function: Callable[[np.ndarray], np.ndarray],
        patients: ArrayLike | None = None,
    ) -> None:
        items = np.asarray(columns, dtype=np.float64)
        patient, self.n_patients = index_patients(patients, len(items))
        self.n_rarer = self.n_patients
        self.names: Sequence[str] = (name,)
        self.scales: Sequence[str] = (scale,)
        self._function = function
        self._sums = np.stack([np.bincount(patient, column, self.n_patients) for column in items.T])  # (K, G)

    def values(self, weights: np.ndarray) -> np.ndarray:
        of_classes = self._function(self._sums @ weights)  # (C, R)
        defined = ~np.isnan(of_classes)
        return _divide(np.where(defined, of_classes, 0).sum(axis=0), defined.sum(axis=0))[None]

    def influence(self) -> np.ndarray:
        sums = self._sums.sum(axis=1)  # (K,)
        reach = np.abs(self._sums).sum(axis=1)
        moved = reach > 0  # a sum to which no item adds has no influence, and may have an end at 0
        steps = np.diag(_STEP * reach)[:, moved]
        here = self._function(sums[:, None])[:, 0]
        ahead, behind = (self._function(sums[:, None] + sign * steps) for sign in (1, -1))
        slopes = np.nan_to_num((ahead - behind) / (2 * _STEP * reach[moved]))  # (C, K)
        slopes[np.isnan(here)] = 0
        return (slopes @ self._sums[moved] / max(np.count_nonzero(~np.isnan(here)), 1))[None]


class MeanOf:
    """The mean of the same metrics over several models, or lead sets, of the same patients.

    Args:
        statistics: one each, alike in names, scales, patients and classes.
    """

    def __init__(self, statistics: Sequence[Statistic]) -> None:
        self._statistics = statistics
        self.names, self.scales = statistics[0].names, statistics[0].scales
        self.n_patients, self.n_rarer = statistics[0].n_patients, statistics[0].n_rarer

    def values(self, weights: np.ndarray) -> np.ndarray:
        return np.mean([each.values(weights) for each in self._statistics], axis=0)

    def influence(self) -> np.ndarray:
        return np.mean([each.influence() for each in self._statistics], axis=0)


def share(
    name: str,
    hits: ArrayLike,
    out_of: ArrayLike,
    patients: ArrayLike | None = None,
    scale: str = "logit",
) -> OfSums:
    """The metric "sum of hits / sum of out_of", both (N,); or the mean of it over classes, both (N, C)."""
    above, below = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(out_of, np.float64))
    columns = np.hstack([above.reshape(len(above), -1), below.reshape(len(below), -1)])
    return OfSums(name, scale, columns, lambda sums: _divide(*np.split(sums, 2)), patients)


def index_patients(patients: ArrayLike | None, n_items: int) -> tuple[np.ndarray, int]:
    """The index of each item's patient, (N,), and the number of patients."""
    if patients is None:
        return np.arange(n_items), n_items
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    if index.shape != (n_items,):
        raise ValueError(f"there are {n_items} items, but patients of {index.size}")
    return index, len(names)


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Their ratio; NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
