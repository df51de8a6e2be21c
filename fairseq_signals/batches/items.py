"""Items of more than one segment: adjacent ones of a record, or one each of two records of a patient."""

from __future__ import annotations

import numpy as np


def adjacent_pairs(segments: np.ndarray, record: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Segments 2k and 2k + 1 of each record, in the manifest's order: (P, 2).

    Args:
        segments: (S,) lines of the manifest that may be used.
        record: of each line of the manifest, a number of its record.
        number: of each line, which segment of its record it is.
    """
    key = record[segments] * (number.max(initial=0) + 2) + number[segments]
    order = np.argsort(key, kind="stable")
    key, index = key[order], segments[order]
    first = np.flatnonzero((number[index[:-1]] % 2 == 0) & (np.diff(key) == 1))
    pairs = np.stack([index[first], index[first + 1]], axis=1)
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


def pairs_of_patients(
    segments: np.ndarray, record: np.ndarray, patient: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Segments of two different records of each patient who has them, all such pairs alike: (P, 2).

    PCLR, N. Diamant et al., PLOS Comput Biol 2022, arXiv:2104.04569.

    Args:
        segments, record: as of `adjacent_pairs`.
        patient: of each line of the manifest, a number of its patient.
        rng: draws a segment of each record, and two records of each patient.
    """
    of_records = _first_of_each(segments, record, 1, rng)[:, 0]
    return _first_of_each(of_records, patient, 2, rng)


def _first_of_each(segments: np.ndarray, group: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` random segments of each group that has as many, (G, n)."""
    order = np.lexsort((rng.random(len(segments)), group[segments]))
    _, start, count = np.unique(group[segments][order], return_index=True, return_counts=True)
    return segments[order][start[count >= n, None] + np.arange(n)]
