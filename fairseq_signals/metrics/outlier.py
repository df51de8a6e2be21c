"""How unlike the training data a recording is, by its embedding, and how well that tells unseen classes.

With m and S the mean and the covariance of the training embeddings, S shrunk (Ledoit and Wolf, J.
Multivariate Anal. 88, 2004), the distance of an embedding x is Mahalanobis', sqrt((x - m)' S^-1 (x - m)). It
knows of no classes, so that records may be of several. Lee et al. (NeurIPS 2018) have one mean a class.

N items, D features, G patients, R weightings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

N_STD = 2.0  # beyond so many standard deviations from the mean distance a recording is unlike the others
_FLAT = 1e-12  # of the largest variance: in directions of less, rounding decides


class Outlier(NamedTuple):
    """How unlike the training data one recording is."""

    quantile: float
    """The share of usual records that are less so: 0.99 is more unusual than 99 % of them."""
    distance: float
    """As above; it tells apart what is beyond all usual records, too."""
    is_unlike: bool
    """Whether the distance is beyond the radius of the usual ones."""


@dataclass(frozen=True, eq=False)
class OutlierScore:
    """What the training data look like, and what is usual.

    Attributes:
        mean: (D,) of the training embeddings.
        whitening: (D, D); (x - mean) @ whitening has the distance as its length.
        usual: (N,) distances of records like those of the training, on which the network was not trained.
    """

    mean: np.ndarray
    whitening: np.ndarray
    usual: np.ndarray

    @classmethod
    def fit(cls, embeddings: ArrayLike, usual: ArrayLike) -> OutlierScore:
        """The score of a network.

        Args:
            embeddings: (N, D) of training records.
            usual: (N', D) of records like them, on which it was not trained.

        Raises:
            ValueError: all training embeddings are the same.
        """
        from sklearn.covariance import LedoitWolf

        rows = np.asarray(embeddings, dtype=np.float64)
        if not np.ptp(rows, axis=0).any():
            raise ValueError(f"the embeddings of {len(rows):,} training records do not differ")
        found = LedoitWolf(store_precision=False).fit(rows)
        variances, directions = np.linalg.eigh(found.covariance_)
        whitening = directions / np.sqrt(np.maximum(variances, _FLAT * variances[-1]))
        none = np.zeros(0, np.float32)
        score = cls(found.location_.astype(np.float32), whitening.astype(np.float32), none)
        return replace(score, usual=np.sort(score.distance(usual)).astype(np.float32))

    @cached_property
    def radius(self) -> float:
        """From which distance on a record is unlike the others; see `radius`."""
        return radius(self.usual)

    def distance(self, embeddings: ArrayLike) -> np.ndarray:
        """Of embeddings (N, D) from those of the training, (N,) float64."""
        moved = np.asarray(embeddings, dtype=np.float64) - self.mean
        return np.linalg.norm(moved @ self.whitening.astype(np.float64), axis=1)

    def quantile(self, distance: ArrayLike) -> np.ndarray:
        """The share of usual records that are nearer than each distance."""
        return np.searchsorted(self.usual, np.asarray(distance), side="left") / len(self.usual)

    def of(self, embedding: ArrayLike) -> Outlier:
        """How unlike the training data the recording of an embedding (D,) is."""
        (distance,) = self.distance(np.asarray(embedding)[None]).tolist()
        return Outlier(float(self.quantile(distance)), distance, distance > self.radius)


def radius(distances: ArrayLike) -> float:
    """Mean and `N_STD` standard deviations (divisor N) above it (Zhou et al., Neural Networks 179, 2024)."""
    values = np.asarray(distances, dtype=np.float64)
    return float(values.mean() + N_STD * values.std())
