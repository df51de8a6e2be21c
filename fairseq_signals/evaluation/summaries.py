"""What a family of lead sets reaches: the mean over them, the worst of them, and how far they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fairseq_signals.evaluation.degradation import AT
from fairseq_signals.metrics.bootstrap import Bounds

#: Of a family, by name: its lead sets.
Families = Mapping[str, Sequence[str]]
#: How the names begin of metrics of which the highest is the worst.
_ERRORS = ("mae", "rmse", "median_rank")


class Line(NamedTuple):
    """The metrics of a lead set, or what is made of those of a family."""

    leads: str
    """The lead set, or "each mean", "each worst", "each sd"."""
    values: dict[str, float]
    bounds: dict[str, Bounds]
    of: Mapping[str, str]
    """Of the worst: of each metric, the lead set that it is."""


def mean_of(family: str) -> str:
    """What the mean of a family is called among lead sets."""
    return f"{family} mean"


def is_drawn(leads: str) -> bool:
    """Whether a lead set is one of `random:K`: "random:4 I+II+V2+V5"."""
    return leads.startswith("random:")


def alone(lead_sets: Iterable[str], families: Families) -> list[str]:
    """The lead sets that stand for themselves: of no family, and not degraded."""
    members = set().union(*families.values())
    return [leads for leads in lead_sets if leads not in members and AT not in leads]


def lines_of(
    values: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, Bounds]],
    families: Families,
) -> Iterator[Line]:
    """A line for each lead set; then mean, worst and standard deviation (divisor n - 1) of each family.

    Of a family of one lead set there is the mean alone.

    Args:
        values: the metrics by name of each lead set. Where one of them is NaN, so is what is made of it.
        intervals: of each lead set, and of each mean (`mean_of`); the worst has that of its lead set.
        families: their lead sets.
    """
    for leads, found in values.items():
        yield Line(leads, dict(found), dict(intervals.get(leads, {})), {})
    for family, members in families.items():
        metrics = list(values[members[0]])
        columns = {metric: [values[leads][metric] for leads in members] for metric in metrics}
        mean = {metric: float(np.mean(column)) for metric, column in columns.items()}
        yield Line(mean_of(family), mean, dict(intervals.get(mean_of(family), {})), {})
        if len(members) == 1:
            continue
        worst = {metric: members[_worst(metric, column)] for metric, column in columns.items()}
        found = {metric: values[leads][metric] for metric, leads in worst.items()}
        bounds = {
            metric: intervals[leads][metric]
            for metric, leads in worst.items()
            if metric in intervals.get(leads, {})
        }
        of = {metric: leads.rpartition(" ")[2] for metric, leads in worst.items()}
        yield Line(f"{family} worst", found, bounds, of)
        spread = {metric: float(np.std(column, ddof=1)) for metric, column in columns.items()}
        yield Line(f"{family} sd", spread, {}, {})


def _worst(metric: str, column: Sequence[float]) -> int:
    """The index of the worst value, the first NaN if there is one."""
    sign = -1 if metric.startswith(_ERRORS) else 1
    return min(range(len(column)), key=lambda i: (column[i] == column[i], sign * column[i]))
