"""Two evaluations of the same records compared: by how much one is better, and whether that is chance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fairseq_signals.evaluation.intervals import ITEMS, mean_statistics, values_of
from fairseq_signals.evaluation.results import METRIC_TITLES, ResultsError, format_interval, format_value
from fairseq_signals.evaluation.saved_results import SavedEvaluation
from fairseq_signals.evaluation.summaries import is_drawn
from fairseq_signals.metrics.bootstrap import METHOD, Bounds, differences
from fairseq_signals.metrics.weighted import Statistic

#: Of each task: what both evaluations must have alike beside records and patients, and what that is called.
_ALIKE = {
    "classification": {"names": "classes", "labels": "labels"},
    "regression": {"names": "targets' names", "targets": "targets"},
    "identification": {"gallery_ids": "patients of the gallery"},
}


class Comparison(NamedTuple):
    """A metric of one model on a lead set, and of another on its lead set."""

    leads: str
    """Of both; `12:2` where they are different."""
    metric: str
    value: float
    other: float
    difference: float
    bounds: Bounds
    p: float


def compare(
    one: SavedEvaluation, other: SavedEvaluation, lead_sets: Iterable[str] = (), n_resamples: int = 1000
) -> list[Comparison]:
    """Each metric of `one` less that of `other`, from the same resamples of the patients.

    Args:
        one, other: of the same records.
        lead_sets: those to compare, or `A:B` for lead set A of one and B of the other; of a family, such as
            "each", the mean over its lead sets. By default all that both have.
        n_resamples: how many times patients are drawn.

    Raises:
        ResultsError: they are not of the same task, records, patients and labels, or lack a lead set.
    """
    require_same(one, other)
    alike = [family for family in one.families if one.families[family] == other.families.get(family)]
    shared = [leads for leads in one.leads if leads in other.leads and not is_drawn(leads)]
    chosen = list(lead_sets) or [*shared, *alike]
    if not chosen:
        raise ResultsError(
            f"no lead set is in both: {one.method} has {', '.join(one.leads)}, {other.method} "
            f"{', '.join(other.leads)}; name two, such as {one.leads[0]}:{other.leads[0]}"
        )
    known = [dict(each.arrays) for each in (one, other)]
    if not all("normal" in arrays for arrays in known):  # no challenge score, or a file from before `normal`
        known = [{name: array for name, array in arrays.items() if name != "normal"} for arrays in known]
    found = []
    for leads in chosen:
        first, second = _pair(leads, one, other)
        places = one.places(first), other.places(second)
        ours, others = (mean_statistics(one.task, *each) for each in zip(known, places))
        # where the classes of one model exclude each other, it has more metrics
        in_both = {tuple(each.names) for each in ours} & {tuple(each.names) for each in others}
        ours, others = ([each for each in of if tuple(each.names) in in_both] for of in (ours, others))
        values, other_values = map(_values, (ours, others))
        for metric, of_metric in differences(ours, others, n_resamples).items():
            found.append(Comparison(leads, metric, values[metric], other_values[metric], *of_metric))
    return found


def _pair(leads: str, one: SavedEvaluation, other: SavedEvaluation) -> tuple[str, str]:
    """The lead sets of `A:B`, or one for both; names of families have colons of their own."""
    parts = leads.split(":")
    pairs = [(":".join(parts[:i]), ":".join(parts[i:])) for i in range(1, len(parts))]
    for first, second in [(leads, leads), *pairs]:
        if first in {*one.leads, *one.families} and second in {*other.leads, *other.families}:
            return first, second
    return pairs[0] if pairs else (leads, leads)


def _values(statistics: Iterable[Statistic]) -> dict[str, float]:
    return {name: value for each in statistics for name, value in values_of(each).items()}


def require_same(one: SavedEvaluation, other: SavedEvaluation) -> None:
    """Raise `ResultsError` with the first difference in task, records, patients or labels, if any."""
    if one.task != other.task:
        raise ResultsError(f"{one.method} is of {one.task}, but {other.method} of {other.task}")
    patients, records = ITEMS[one.task]
    wanted = {records: "records", patients: "patients", **_ALIKE[one.task]}
    for saved in (one, other):
        if one.task == "identification" and "correct" not in saved.arrays:
            raise ResultsError(f"{saved.method}: was saved by an older version; evaluate again with --save")
    for name, what in wanted.items():
        a, b = one.arrays[name], other.arrays[name]
        step = "evaluate both on the same manifests"
        if len(a) != len(b):
            sizes = f"{one.method} has {len(a):,}, but {other.method} {len(b):,}"
            raise ResultsError(f"different numbers of {what}: {sizes}; {step}")
        differs = np.flatnonzero((a != b).reshape(len(a), -1).any(axis=1))
        if len(differs):
            i = int(differs[0])
            of_record = f" of {one.arrays[records][i]}" if what in ("patients", "labels", "targets") else ""
            raise ResultsError(
                f"different {what}, first number {i + 1}{of_record}: {one.method} has {_shown(a[i])}, but "
                f"{other.method} {_shown(b[i])} ({len(differs):,} of {len(a):,} differ); {step}"
            )


def comparison_cells(
    found: Iterable[Comparison], names: tuple[str, str]
) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of a table of comparisons, for `format_table`."""
    lines = [
        [
            each.leads,
            METRIC_TITLES.get(each.metric, each.metric),
            format_value(each.value, 3),
            format_value(each.other, 3),
            format_interval(each.difference, each.bounds),
            "n/a" if np.isnan(each.p) else "< 0.001" if each.p < 0.001 else f"{each.p:.3f}",
        ]
        for each in found
    ]
    return ["leads", "metric", *names, "difference", "p"], lines


def comparison_rows(found: Iterable[Comparison], names: tuple[str, str]) -> list[dict[str, Any]]:
    """The same as rows of JSON; what is not defined is None."""
    rows = []
    for each in found:
        numbers = {**each._asdict(), **each.bounds._asdict()}
        del numbers["bounds"]
        known = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in numbers.items()}
        rows.append({"method": names[0], "than": names[1], **known, "interval": METHOD})
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return "classes " + (", ".join(map(str, np.flatnonzero(value))) or "none")
    return str(value)
