"""Results: a JSON list of what `fairseq-signals evaluate` measured, tables of it, lines of CSV."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, NamedTuple

import numpy as np

from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.summaries import Families, alone, is_drawn, lines_of
from fairseq_signals.files import write_text
from fairseq_signals.manifest.people import unknown_patients
from fairseq_signals.metrics.bootstrap import METHOD, Bounds
from fairseq_signals.safety.locks import in_turn
from fairseq_signals.safety.rules import check, integer, number, read_json, required, text
from fairseq_signals.safety.text import visible

METRIC_TITLES = {
    "cinc_score": "CinC score",
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
    "pearson": "Pearson",
    "macro_f_measure": "macro F-measure",
    "accuracy": "accuracy",
    "chance": "chance level",
    "outlier_auroc": "outlier AUROC",
    "outlier_fpr95": "outlier FPR at 95 % TPR",
}
_ROW = {
    **dict.fromkeys(("method", "task", "leads", "metric"), required(text())),
    **dict.fromkeys(("value", "low", "high"), number(-1e9, 1e9)),
    **dict.fromkeys(("interval", "group", "of"), text()),
    "n": required(integer(0, 1 << 53)),
    "seed": integer(-(1 << 63), 1 << 64),
}
REQUIRED = ("method", "task", "leads", "metric", "value", "n")
#: Two rows that agree in these are one measurement; `seed` and `group` may be absent.
IDENTITY = ("method", "task", "leads", "metric", "seed", "group")

Values = Mapping[str, Mapping[str, float]]  #: the metrics by name of each lead set
Intervals = Mapping[str, Mapping[str, Bounds]]


class Group(NamedTuple):
    """What a checkpoint reaches on a part of the records."""

    name: str
    """Of column and value, such as "sex=female"."""
    n: int
    n_patients: int
    values: Values
    intervals: Intervals


@dataclass
class Evaluation:
    """What one checkpoint reaches on one split.

    Args:
        task: "classification", "regression" or "identification".
        n: number of what is counted.
        counted: what that is, such as "records" or "probe segments".
        values: per lead set the metrics by name; NaN where undefined.
        predictions: the header and the lines of the CSV file, made when iterated.
        notes: what a reader of the numbers should know.
        arrays: what the numbers were computed from, by name; see `evaluation/saved_results.py`.
        patients: of each record; see `people.unknown_patients`.
        intervals: of the values and of the means over families, where they were asked for.
        groups: of records, by each column in turn.
        families: of lead sets, see `summaries.py`.
        n_of: in place of `n`, of metrics that count others too.
    """

    task: str
    n: int
    counted: str
    values: dict[str, dict[str, float]]
    predictions: Callable[[], Iterator[Sequence[Any]]]
    notes: list[str] = field(default_factory=list)
    arrays: dict[str, Any] = field(default_factory=dict)
    patients: Sequence[str] = ()
    intervals: Intervals = field(default_factory=dict)
    groups: dict[str, list[Group]] = field(default_factory=dict)
    families: Families = field(default_factory=dict)
    n_of: dict[str, int] = field(default_factory=dict)

    def remarks(self) -> list[str]:
        """The notes, and for how many records patients are not known."""
        return [*self.notes, *filter(None, [unknown_patients(self.patients)[1]])]


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % confidence interval; NaN where there is none."""

    mean: float = math.nan
    half_width: float = math.nan

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        return f"{self.mean:.3f}" + ("" if math.isnan(self.half_width) else f" ± {self.half_width:.3f}")


class ResultsError(FairseqSignalsError):
    """A results file that is missing or malformed."""


def read_results(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of a results file, each with at least the keys `REQUIRED`; an undefined value is None.

    Raises:
        ResultsError: the file is absent, not a JSON list of such rows, or has two rows for one measurement.
    """
    path = Path(path)
    try:
        rows = read_json(path, ResultsError)
    except FileNotFoundError:
        raise ResultsError(
            f"{path}: there is no such file. Write one with `fairseq-signals evaluate ... --json {path}`."
        ) from None
    if not isinstance(rows, list):
        raise ResultsError(f"{path}: expected a list of rows, found {type(rows).__name__}")
    seen: dict[tuple[Any, ...], int] = {}
    for position, row in enumerate(rows):
        missing = [key for key in REQUIRED if not isinstance(row, dict) or key not in row]
        if missing:
            raise ResultsError(f"{path}: row {position} lacks {', '.join(missing)}: {json.dumps(row)[:200]}")
        check(row, _ROW, f"{path}: row {position}: ", ResultsError)
        first = seen.setdefault(identity(row), position)
        if first != position:
            raise ResultsError(f"{path}: rows {first} and {position} are both for {identity(row)}")
    return rows


def write_results(path: str | os.PathLike[str], rows: Iterable[dict[str, Any]], append: bool = False) -> None:
    """Write rows atomically: the file appears when it is complete, or stays what it was.

    Args:
        path: the JSON file; its folder is made if needed.
        rows: what was measured; NaN becomes null.
        append: keep the rows that the file already has, but for those measured again.
    """
    path = Path(path)
    numbers = ("value", "low", "high")
    rows = [{**row, **{key: _number_or_none(row[key]) for key in numbers if key in row}} for row in rows]
    with in_turn(path):
        if append and path.exists():
            new = {identity(row) for row in rows}
            rows = [row for row in read_results(path) if identity(row) not in new] + rows
        lines = ",\n ".join(json.dumps(row, allow_nan=False) for row in rows)
        write_text(path, [f"[{lines}]\n"])


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row measures, by which a second measurement replaces the first."""
    return tuple(row.get(key) for key in IDENTITY)


def mean_over_seeds(values: Iterable[float]) -> Interval:
    """The mean, and the half-width of its 95 % confidence interval: t(0.975, n - 1) times s / sqrt(n).

    Missing values (NaN) are left out; NaN where there is no mean, or no interval.
    """
    found = np.array([value for value in values if not math.isnan(value)])
    if len(found) < 2:
        return Interval(*map(float, found))
    from scipy.stats import t

    half_width = t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found))
    return Interval(float(found.mean()), float(half_width))


def table_cells(
    measured: Values, intervals: Intervals | None = None, families: Families = MappingProxyType({})
) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of a table of metrics by lead set, for `format_table`.

    One line a lead set that is not drawn, one column a metric, then the summaries of families, and the mean
    over the lead sets that stand for themselves where there are several.
    """
    metrics = metric_names(measured)
    cells = lead_set_cells(measured, intervals, families)
    counted = [measured[leads] for leads in alone(measured, families)]
    if len(counted) > 1:
        means = [float(np.mean([values[name] for values in counted])) for name in metrics]
        cells.append(["mean", *(format_value(mean, 3 if intervals else 4) for mean in means)])
    return ["leads", *(METRIC_TITLES.get(name, name) for name in metrics)], cells


def group_cells(
    column: str, groups: Sequence[Group], counted: str, families: Families = MappingProxyType({})
) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of a table of metrics by group and lead set."""
    titles = [METRIC_TITLES.get(name, name) for name in metric_names(groups[0].values)]
    cells = [
        [
            visible(group.name.partition("=")[2]),
            *(f"{n:,}" for n in (group.n, group.n_patients)),
            *line,
        ]
        for group in groups
        for line in lead_set_cells(group.values, group.intervals, families)
    ]
    return [column, counted, "patients", "leads", *titles], cells


def metric_names(measured: Values) -> list[str]:
    """Of all lead sets, in order."""
    return list(dict.fromkeys(name for values in measured.values() for name in values))


def lead_set_cells(
    measured: Values, intervals: Intervals | None = None, families: Families = MappingProxyType({})
) -> list[list[str]]:
    """The lines of lead sets and of summaries of families, with the ends of intervals if there are any.

    Of random lead sets there are the summaries alone; the worst is named where it has at most four leads.
    """
    cells: list[list[str]] = []
    for line in lines_of(measured, intervals or {}, families):
        if line.leads in measured and is_drawn(line.leads):
            continue
        cells.append([line.leads])
        for name, value in line.values.items():
            shown = format_interval(value, line.bounds.get(name)) if intervals else format_value(value)
            of = line.of.get(name, "")
            cells[-1].append(f"{shown} ({of})" if of and of.count("+") < 4 else shown)
    return cells


def result_rows(outcome: Evaluation, method: str, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a results file: method, task, leads, metric, value, n; seed if it is given.

    With intervals: low, high and interval, how they were found. Of the worst of a family: of, which lead set
    it is. Of a part of the records: group. Where patients are not known, `records_without_patient` tells for
    how many of all records.
    """
    n_unknown, _ = unknown_patients(outcome.patients)
    more = {"records_without_patient": n_unknown or None, "seed": seed}
    whole = Group("", outcome.n, 0, outcome.values, outcome.intervals)
    for part in [whole, *(group for groups in outcome.groups.values() for group in groups)]:
        for leads, values, bounds, of in lines_of(part.values, part.intervals, outcome.families):
            for metric, value in values.items():
                row: dict[str, Any] = {"method": method, "task": outcome.task, "leads": leads}
                n = outcome.n_of.get(metric, part.n)
                row |= {"metric": metric, "value": value, "n": n, "of": of.get(metric)}
                row |= {"group": part.name or None, **more}
                if metric in bounds:
                    row |= {**bounds[metric]._asdict(), "interval": METHOD}
                yield {key: found for key, found in row.items() if found is not None}


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], n_left: int = 1) -> str:
    """An aligned table for a terminal: the first `n_left` columns flush left, the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows)]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if i < n_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def format_value(value: float, decimals: int = 4) -> str:
    """A metric for people."""
    return "n/a" if math.isnan(value) else f"{value:.{decimals}f}"


def format_interval(value: float, bounds: Bounds | None) -> str:
    """A metric and the ends of its interval, if it has one: 0.812 [0.790, 0.833]."""
    if bounds is None or math.isnan(bounds.low):
        return format_value(value, 3)
    return f"{format_value(value, 3)} [{format_value(bounds.low, 3)}, {format_value(bounds.high, 3)}]"


def _number_or_none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
