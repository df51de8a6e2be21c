"""Identification beyond the nearest entry: rank-k curve, and the decision "same patient" at a threshold.

Two recordings match where their similarity is at least the threshold. A pair of recordings of one patient is
genuine, of two patients an impostor pair; a false match is an impostor pair that matches, a false non-match a
genuine pair that does not (ISO/IEC 19795-1). G gallery entries, P probes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fairseq_signals.metrics.identification import nearest_by_patient


class ErrorRates(NamedTuple):
    """Error rates over thresholds, from the one that accepts every pair to the one that accepts none."""

    threshold: np.ndarray
    """(K,) increasing; the last is infinite."""
    false_match: np.ndarray
    """(K,) share of impostor pairs with at least that similarity: 1 to 0."""
    false_non_match: np.ndarray
    """(K,) share of genuine pairs with less: 0 to 1."""


class ClaimErrors(NamedTuple):
    """How often it was decided wrongly whether recordings are of whom they are said to be of."""

    n_false_match: int
    """Claims of another patient that were accepted."""
    n_impostor: int
    """Claims of another patient."""
    n_false_non_match: int
    """Claims of the right patient that were rejected."""
    n_genuine: int
    """Claims of the right patient."""

    @property
    def false_match(self) -> float:
        """The share of wrong claims that are accepted; NaN where there is none."""
        return self.n_false_match / self.n_impostor if self.n_impostor else math.nan

    @property
    def false_non_match(self) -> float:
        """The share of right claims that are rejected; NaN where there is none."""
        return self.n_false_non_match / self.n_genuine if self.n_genuine else math.nan

    def at(self, prevalence: float) -> tuple[float, float]:
        """Where this share of all claims is wrong: the share of it among what is rejected, and accepted.

        The first is the precision of a warning, whose recall is `1 - false_match`. NaN where there is none.
        """
        wrong, right = prevalence, 1 - prevalence
        caught, alarms = wrong * (1 - self.false_match), right * self.false_non_match
        missed, passed = wrong * self.false_match, right * (1 - self.false_non_match)
        return (
            caught / (caught + alarms) if caught + alarms else math.nan,
            missed / (missed + passed) if missed + passed else math.nan,
        )


def rank_k_accuracy(similarity: ArrayLike, gallery_ids: ArrayLike, probe_ids: ArrayLike) -> np.ndarray:
    """The share of probes whose patient is among the k most similar ones: (K,) for k = 1 to all K patients.

    A patient with several recordings counts by the most similar one. Of equally similar patients the probe's
    is last, as in `rank1_accuracy`. A probe whose patient is not enrolled is wrong.

    Args:
        similarity: (P, G).
        gallery_ids, probe_ids: (G,) and (P,), integers or strings.
    """
    similarity, gallery_ids, probe_ids = _checked(similarity, gallery_ids, probe_ids)
    patients, whose = np.unique(gallery_ids, return_inverse=True)
    nearest, _ = nearest_by_patient(similarity, whose.reshape(-1))  # (P, K)
    place = np.searchsorted(patients, probe_ids).clip(max=len(patients) - 1)
    enrolled = patients[place] == probe_ids
    own = np.take_along_axis(nearest, place[:, None], axis=1)
    ahead = (nearest >= own).sum(axis=1) - 1
    counts = np.bincount(ahead[enrolled], minlength=len(patients))
    return np.cumsum(counts) / len(probe_ids)


def split_pairs(
    similarity: ArrayLike, gallery_ids: ArrayLike, probe_ids: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (P, G) of genuine pairs and of impostor pairs, each in one row."""
    similarity, gallery_ids, probe_ids = _checked(similarity, gallery_ids, probe_ids)
    same = probe_ids[:, None] == gallery_ids[None, :]
    return similarity[same], similarity[~same]


def error_rates(genuine: ArrayLike, impostor: ArrayLike) -> ErrorRates:
    """Both error rates at every threshold that makes a difference.

    Raises:
        ValueError: there is no genuine or no impostor pair.
    """
    genuine, impostor = _sorted(genuine, "genuine"), _sorted(impostor, "impostor")
    threshold = np.unique(np.concatenate([genuine, impostor]))
    threshold = np.append(threshold, np.inf)
    false_match = 1.0 - np.searchsorted(impostor, threshold, side="left") / len(impostor)
    false_non_match = np.searchsorted(genuine, threshold, side="left") / len(genuine)
    return ErrorRates(threshold, false_match, false_non_match)


def equal_error_rate(rates: ErrorRates) -> tuple[float, float]:
    """Where the two error rates are equal, interpolated between thresholds; and the threshold next to it."""
    difference = rates.false_match - rates.false_non_match  # decreasing from 1 to -1
    after = int(np.argmax(difference <= 0))
    before = max(after - 1, 0)
    drop = difference[before] - difference[after]
    share = difference[before] / drop if drop else 0.0
    rate = rates.false_match[before] + share * (rates.false_match[after] - rates.false_match[before])
    nearest = before if share < 0.5 or not np.isfinite(rates.threshold[after]) else after
    return float(rate), float(rates.threshold[nearest])


def false_match_threshold(impostor: ArrayLike, rate: float, n_pairs: int | None = None) -> float:
    """The lowest threshold that at most this share of the impostor pairs reaches.

    Args:
        impostor: their similarities.
        rate: the share.
        n_pairs: how many there are, if `impostor` has only the highest: `rate * n_pairs + 1` or more.

    Raises:
        ValueError: the rate is not between 0 and 1, or there are too few pairs to measure it.
    """
    impostor = _sorted(impostor, "impostor")
    if not 0 < rate < 1:
        raise ValueError(f"a false-match rate is above 0 and below 1, but is {rate}")
    n_pairs = len(impostor) if n_pairs is None else n_pairs
    allowed = int(rate * n_pairs + 1e-9)
    if not allowed:
        raise ValueError(
            f"a false-match rate of {rate:g} takes {int(np.ceil(1 / rate))} impostor pairs or more to "
            f"measure, but there are {n_pairs}"
        )
    highest_refused = impostor[len(impostor) - allowed - 1]
    accepted = impostor[impostor > highest_refused]
    return float(accepted[0]) if len(accepted) else float(np.nextafter(highest_refused, np.inf))


def _sorted(values: ArrayLike, name: str) -> np.ndarray:
    values = np.sort(np.asarray(values, dtype=np.float64).reshape(-1))
    if not len(values):
        raise ValueError(f"there is no {name} pair, so no error rate is defined")
    if not np.isfinite(values).all():
        raise ValueError(f"similarities must be finite, but those of {name} pairs are not")
    return values


def _checked(
    similarity: ArrayLike, gallery_ids: ArrayLike, probe_ids: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    similarity, gallery_ids, probe_ids = map(np.asarray, (similarity, gallery_ids, probe_ids))
    if similarity.shape != (len(probe_ids), len(gallery_ids)) or not similarity.size:
        raise ValueError(
            f"similarity must be (probes, gallery) = ({len(probe_ids)}, {len(gallery_ids)}) and not empty, "
            f"but has shape {similarity.shape}"
        )
    return similarity, gallery_ids, probe_ids
