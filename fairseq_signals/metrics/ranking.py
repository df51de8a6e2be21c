"""AUROC and average precision of many weightings of the same scores at once.

The scores of a class are sorted once. What a resample changes is only how often each patient counts, so that
its numbers of positives and negatives above each score are sparse matrix products and cumulative sums.

G patients, R weightings, K steps: the different scores that positive items have, the highest first. Ties are
pooled as in scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class RankedClass:
    """The items of a class with both outcomes, counted by step and patient.

    Attributes:
        positive: (K, G), positives whose score is that of the step.
        tied: (K, G), negatives of that score.
        between: (K + 1, G), negatives above that score, but below the step before; the last, below all.
    """

    positive: sparse.csr_matrix
    tied: sparse.csr_matrix
    between: sparse.csr_matrix

    @classmethod
    def of(cls, truth: np.ndarray, scores: np.ndarray, patient: np.ndarray, n_patients: int) -> RankedClass:
        """Of (N,) bool outcomes, scores, and the index of each item's patient."""
        steps = np.unique(-scores[truth])
        place = np.searchsorted(steps, -scores)
        tied = ~truth & (np.append(steps, np.inf)[place] == -scores)

        def count(kept: np.ndarray, n_rows: int) -> sparse.csr_matrix:
            ones = np.ones(np.count_nonzero(kept))
            return sparse.csr_matrix((ones, (place[kept], patient[kept])), (n_rows, n_patients))

        return cls(count(truth, len(steps)), count(tied, len(steps)), count(~truth & ~tied, len(steps) + 1))

    @property
    def n_rarer(self) -> int:
        """Patients who have the outcome that fewer have."""
        negative = self.tied.sum(axis=0) + self.between.sum(axis=0)
        return int(min(np.count_nonzero(self.positive.sum(axis=0)), np.count_nonzero(negative)))

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """AUROC and average precision, (2, R), of weights (G, R); NaN where an outcome has no weight."""
        positive, tied, hits, false, negatives = self._counts(weights)
        below = negatives - false + tied / 2
        precision = np.divide(hits, hits + false, out=np.zeros_like(hits), where=hits + false > 0)
        products = np.stack([(positive * below).sum(axis=0), (positive * precision).sum(axis=0)])
        out_of = np.stack([hits[-1] * negatives, np.where(negatives > 0, hits[-1], 0)])
        return np.divide(products, out_of, out=np.full_like(products, np.nan), where=out_of > 0)

    def influence(self) -> np.ndarray:
        """Derivatives of both areas by the weight of each patient, where all are 1: (2, G)."""
        ones = np.ones((self.positive.shape[1], 1))
        auroc, auprc = self.areas(ones)[:, 0]
        positive, tied, hits, false, negatives = (each[..., 0] for each in self._counts(ones))
        n_positive, above = hits[-1], np.append(0.0, hits)
        # of AUROC: how far a positive is above the mean positive, a negative below the mean negative
        of_positive = ((negatives - false + tied / 2) / negatives - auroc) / n_positive
        of_tied = ((above[:-1] + positive / 2) / n_positive - auroc) / negatives
        of_between = (above / n_positive - auroc) / negatives
        first = self.positive.T @ of_positive + self.tied.T @ of_tied + self.between.T @ of_between
        # of average precision: an item changes the precision at its own step and at all lower ones
        precision = hits / (hits + false)
        gained = _sum_from(positive / (hits + false)) / n_positive
        lost = _sum_from(positive / (hits + false) * precision) / n_positive
        of_positive = (precision - auprc) / n_positive + gained - lost
        second = self.positive.T @ of_positive - self.tied.T @ lost - self.between.T @ np.append(lost, 0.0)
        return np.stack([first, second])

    def _counts(self, weights: np.ndarray) -> tuple[np.ndarray, ...]:
        """Positives and tied negatives at each step, both cumulated with all above, (K, R); all negatives."""
        positive, tied, between = (each @ weights for each in (self.positive, self.tied, self.between))
        hits = np.cumsum(positive, axis=0)
        false = np.cumsum(between[:-1] + tied, axis=0)
        return positive, tied, hits, false, false[-1] + between[-1]


def _sum_from(values: np.ndarray) -> np.ndarray:
    """The sum from each place to the end."""
    return np.cumsum(values[::-1])[::-1]
