"""How well outlier scores tell classes that training has not seen, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fairseq_signals.metrics.weighted import Areas, index_patients

TPR = 0.95  # share of the seen that `TakenForSeen` lets pass


class OutlierArea(Areas):
    """AUROC of distances, seen against unseen; as a `Statistic`. Use `of_unseen`."""

    names: Sequence[str] = ("outlier_auroc",)
    scales: Sequence[str] = ("logit",)

    def __init__(self, distances: ArrayLike, unseen: ArrayLike, patients: ArrayLike | None = None) -> None:
        super().__init__(np.asarray(unseen)[:, None], np.asarray(distances)[:, None], patients)


class TakenForSeen:
    """The share of unseen items within the distance that 95 % of the seen have; as a `Statistic`.

    It is the false-positive rate at 95 % true positives of Hendrycks and Gimpel (ICLR 2017). Its influence is
    that of a point of a ROC curve: of the unseen as of a share; of the seen through the distance at which
    95 % of them lie, which moves along the curve, whose slope is that of its secant over two standard errors.

    Args:
        distances: (N,).
        unseen: (N,) bool.
        patients: (N,) whose each item is; None: each of its own.
    """

    names: Sequence[str] = ("outlier_fpr95",)
    scales: Sequence[str] = ("logit",)

    def __init__(self, distances: ArrayLike, unseen: ArrayLike, patients: ArrayLike | None = None) -> None:
        order = np.argsort(distances, kind="stable")
        patient, self.n_patients = index_patients(patients, len(order))
        self._distances, self._patient = np.asarray(distances)[order], patient[order]
        self._unseen = np.asarray(unseen, dtype=bool)[order]
        kinds = (self._patient[self._unseen], self._patient[~self._unseen])
        self.n_rarer = min(len(np.unique(each)) for each in kinds)

    def values(self, weights: np.ndarray) -> np.ndarray:
        return self._taken(weights, TPR)[0][None]

    def influence(self) -> np.ndarray:
        ones, n_seen = np.ones((self.n_patients, 1)), int(np.count_nonzero(~self._unseen))
        n_unseen = len(self._unseen) - n_seen
        if not self.n_rarer:
            return np.zeros((1, 0, self.n_patients))
        (value,), (last,) = self._taken(ones, TPR)
        error = math.sqrt(TPR * (1 - TPR) / n_seen)
        ends = (TPR - error, min(TPR + error, 1.0))
        slope = float(np.diff([self._taken(ones, end)[0][0] for end in ends])[0]) / (ends[1] - ends[0])
        within = np.arange(len(self._unseen)) <= last
        parts = np.where(self._unseen, (within - value) / n_unseen, -slope * (within - TPR) / n_seen)
        return np.bincount(self._patient, parts, self.n_patients)[None, None]

    def _taken(self, weights: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """The share of the unseen, (R,), as near as a share of the seen, and which item is the last there."""
        items = weights[self._patient]  # (N, R)
        kinds = (~self._unseen, self._unseen)
        seen, unseen = (np.cumsum(items * kind[:, None], axis=0) for kind in kinds)
        first = (seen >= share * seen[-1] * (1 - 1e-12)).argmax(axis=0)
        last = np.searchsorted(self._distances, self._distances[first], side="right") - 1
        columns = np.arange(weights.shape[1])
        with np.errstate(invalid="ignore"):
            found = np.where(seen[-1] > 0, unseen[last, columns] / unseen[-1], np.nan)
        return found, last
