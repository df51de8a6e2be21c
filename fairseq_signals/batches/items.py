"""Items of more than one segment: adjacent ones of a record, or one each of two records."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Of an item that may come several times an epoch: its record has as many leads.
SEVERAL_LEADS = 3
#: Draws pairs of segments: (P, 2) of segments, records, patients, and a generator.
Drawing = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


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


def pairs_of_records(
    segments: np.ndarray, record: np.ndarray, patient: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Of each record a segment, with one of another record of its patient, or else of itself: (P, 2).

    So every record counts, and whose patient has several is not compared with itself. A record of one segment
    whose patient has no other is left out.

    Args:
        segments, record, patient, rng: as of `pairs_of_patients`.
    """
    pairs = _first_of_each(segments, record, 2, rng)
    first, second = (_first_of_each(segments, record, 1, rng)[:, 0] for _ in range(2))
    order = np.lexsort((rng.random(len(first)), patient[first]))  # a patient's records in a random round
    first, second = first[order], second[order]
    _, start, count = np.unique(patient[first], return_index=True, return_counts=True)
    after = np.arange(1, len(first) + 1)
    after[start + count - 1] = start
    others = np.repeat(count, count) > 1
    alone = pairs[np.isin(record[pairs[:, 0]], record[first[~others]])]
    return np.concatenate([np.stack([first, second[after]], axis=1)[others], alone])


def with_repeats(items: np.ndarray, n_leads: np.ndarray, times: int) -> np.ndarray:
    """Items (P, parts), those of records of three leads or more so many times; `n_leads` (P,) are theirs."""
    return np.concatenate([items, *([items[n_leads >= SEVERAL_LEADS]] * (times - 1))])


def _first_of_each(segments: np.ndarray, group: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` random segments of each group that has as many, (G, n)."""
    order = np.lexsort((rng.random(len(segments)), group[segments]))
    _, start, count = np.unique(group[segments][order], return_index=True, return_counts=True)
    return segments[order][start[count >= n, None] + np.arange(n)]
