"""Whether mean ranks of methods over many tasks differ, as in Demsar 2006 (JMLR 7:1-30).

Friedman's test asks whether any do. If so, two methods differ whose mean ranks are further apart than
Nemenyi's critical difference, q sqrt(k (k + 1) / 6 N), of k methods in N cells; q is the quantile of the
Studentized range over sqrt(2). Cells are tasks on a corpus: lead sets and shares of labels of one task tell
of the same patients again, and are not counted anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import friedmanchisquare, studentized_range

from fairseq_signals.benchmark.scores import LEVEL, ranks

FEWEST = 15  # cells: with fewer, ranks decide next to nothing


class Ranking(NamedTuple):
    """Methods by mean rank over cells."""

    mean_ranks: np.ndarray
    """(k,)"""
    chi2: float
    """Of Friedman, corrected for ties."""
    p: float
    difference: float
    """Nemenyi's."""
    cliques: list[list[int]]
    """Groups of methods of which no two differ, as places in order of mean rank."""


def rank_methods(values: np.ndarray, level: float = LEVEL) -> Ranking:
    """The ranking of methods.

    Args:
        values: (N, k), higher is better.
        level: of error.
    """
    n_cells, n_methods = values.shape
    found = ranks(values)
    chi2, p = friedmanchisquare(*found.T)
    means = found.mean(axis=0)
    difference = critical_difference(n_methods, n_cells, level)
    return Ranking(means, float(chi2), float(p), difference, cliques(means, difference))


def critical_difference(n_methods: int, n_cells: int, level: float = LEVEL) -> float:
    """How far mean ranks of two methods must be apart."""
    quantile = studentized_range.isf(level, n_methods, np.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(n_methods * (n_methods + 1) / (6 * n_cells)))


def cliques(mean_ranks: Sequence[float], difference: float) -> list[list[int]]:
    """The largest groups of methods that are within a difference, in order of mean rank, of two or more."""
    order = np.argsort(mean_ranks, kind="stable").tolist()
    found: list[list[int]] = []
    end = 0
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and mean_ranks[order[last + 1]] - mean_ranks[order[first]] < difference:
            last += 1
        if last > first and last > end:
            found.append(order[first : last + 1])
        end = max(end, last)
    return found
