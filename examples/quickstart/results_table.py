"""Print the results of several methods as one table; write it as Markdown, as JSON and as a bar chart.

    python examples/quickstart/results_table.py outputs/demo/evaluations.json --out outputs/demo

Reads the JSON list that `fairseq-signals evaluate --json FILE --append` collects. Several seeds are
summarised as mean and 95 % confidence interval of the mean (Student's t). Shown are CinC score, macro AUROC
and identification accuracy with its chance level; `results.json` holds the rows of these three metrics.
With `--less METHOD --saved DIR` a second table has what the other methods reach above that one, from what
`fairseq-signals evaluate --save` wrote to DIR, with intervals over patients and seeds.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from differences import differences

from fairseq_signals.commands.store_arguments import run
from fairseq_signals.ecg.leads import LEAD_SETS
from fairseq_signals.errors import FairseqSignalsError, optional_library
from fairseq_signals.evaluation.results import (
    Interval,
    format_table,
    mean_over_seeds,
    read_results,
    write_results,
)
from fairseq_signals.files import write_text

#: (task, metric) in the order of the table: what people call it, and the label of its axis.
METRICS: dict[tuple[str, str], tuple[str, str]] = {
    ("classification", "cinc_score"): ("CinC 2021 score", "CinC 2021 score (1 = perfect)"),
    ("classification", "macro_auroc"): ("macro AUROC", "macro AUROC (0.5 = chance)"),
    ("identification", "accuracy"): ("identification accuracy", "fraction of probes identified"),
}
ACCURACY = ("identification", "accuracy")
CHANCE = ("identification", "chance")
CHANCE_NAME = "chance level"
COUNTED = {"classification": "test records", "identification": "probes"}
MEAN = "mean"
NO_VALUE = "n/a"


class Line(NamedTuple):
    """One line of the table: a metric of a method on each lead set, and its mean over them."""

    metric: tuple[str, str]
    method: str
    cells: dict[str, Interval]


def summarise(rows: Sequence[dict[str, Any]]) -> list[Line]:
    """The lines of the table in order: by metric, then by method as they come in the file; chance last."""
    lead_sets = ordered_lead_sets(rows)
    values: dict[tuple[str, str], dict[str, dict[Any, dict[str, float]]]] = {}
    for row in rows:
        value = math.nan if row["value"] is None else float(row["value"])
        by_method = values.setdefault((row["task"], row["metric"]), {})
        by_method.setdefault(row["method"], {}).setdefault(row.get("seed"), {})[row["leads"]] = value
    lines = [
        Line(metric, method, summarise_seeds(seeds, lead_sets))
        for metric in METRICS
        for method, seeds in values.get(metric, {}).items()
    ]
    chance = values.get(CHANCE, {})
    one_gallery = all(seeds == next(iter(chance.values())) for seeds in chance.values())
    for method, seeds in list(chance.items())[: 1 if one_gallery else None]:
        name = CHANCE_NAME if one_gallery else f"{CHANCE_NAME}, {method}"
        lines.append(Line(ACCURACY, name, summarise_seeds(seeds, lead_sets)))
    return lines


def summarise_seeds(seeds: dict[Any, dict[str, float]], lead_sets: Sequence[str]) -> dict[str, Interval]:
    """Cells per lead set and for their mean; the mean over lead sets is taken within each seed first."""
    # (seeds, lead sets)
    values = np.array([[found.get(leads, math.nan) for leads in lead_sets] for found in seeds.values()])
    cells = {leads: mean_over_seeds(column) for leads, column in zip(lead_sets, values.T)}
    if len(lead_sets) > 1:
        cells[MEAN] = mean_over_seeds(values.mean(axis=1))
    return cells


def ordered_lead_sets(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Numbered lead sets from 12 down, then the others as they come."""
    found = dict.fromkeys(row["leads"] for row in rows)
    numbered = [leads for leads in LEAD_SETS if leads in found]
    return numbered + [leads for leads in found if leads not in LEAD_SETS]


def table_cells(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Header and body of the table, as text."""
    columns = list(lines[0].cells)
    header = ["metric", "method", *map(column_name, columns)]
    body = [[METRICS[line.metric][0], line.method, *map(shown, line.cells.values())] for line in lines]
    return header, body


def shown(cell: Interval) -> str:
    """A cell as text, without an interval where all seeds agree."""
    if math.isnan(cell.mean):
        return NO_VALUE
    return str(cell if cell.half_width >= 1e-12 else Interval(cell.mean))


def column_name(leads: str) -> str:
    """ "12 leads", "1 lead", "mean", or the names of the leads."""
    return f"{leads} lead{'s' if leads != '1' else ''}" if leads in LEAD_SETS else leads


def footnotes(rows: Sequence[dict[str, Any]], lines: Sequence[Line]) -> list[str]:
    """What the numbers are of."""
    notes = []
    for task, what in COUNTED.items():
        sizes = sorted({row["n"] for row in rows if row["task"] == task})
        if sizes:
            notes.append(f"{task}: n = {' or '.join(f'{n:,}' for n in sizes)} {what}")
    seeds = {row.get("seed") for row in rows}
    if len(seeds) > 1:
        notes.append(f"mean ± half-width of the 95 % confidence interval of the mean, {len(seeds)} seeds")
    undefined = sum(row["value"] is None for row in rows if (row["task"], row["metric"]) in METRICS)
    if undefined and len(seeds) > 1:
        notes.append(f"{undefined} undefined values are left out, so that their cells are of fewer seeds")
    if any(math.isnan(cell.mean) for line in lines for cell in line.cells.values()):
        notes.append(f"{NO_VALUE}: not measured or not defined")
    return notes


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table of a Markdown page."""
    rule = ["---", "---", *("---:" for _ in header[2:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *body))


def draw(lines: Sequence[Line], title: str, path: Path) -> None:
    """Write a bar chart: one panel a metric, one group of bars a lead set, one colour a method."""
    matplotlib: Any = optional_library("matplotlib", "the chart", "plot", ", or pass --no-chart")
    from matplotlib.figure import Figure

    from fairseq_signals.plots.axes import grouped_bars, legend_below

    metrics = list(dict.fromkeys(line.metric for line in lines))
    methods = list(dict.fromkeys(line.method for line in lines if not line.method.startswith(CHANCE_NAME)))
    columns = list(lines[0].cells)
    place = np.arange(len(columns)) + 0.4 * (np.array(columns) == MEAN)  # the mean stands apart
    palette = matplotlib.colormaps["tab10" if len(methods) <= 10 else "tab20"].colors
    figure = Figure(figsize=(max(7.0, 1.3 * len(columns)), 2.3 * len(metrics) + 1.3), layout="constrained")
    panels = figure.subplots(len(metrics), 1, squeeze=False)
    for axis, metric in zip(panels[:, 0], metrics):
        cells = {line.method: list(line.cells.values()) for line in lines if line.metric == metric}
        bars = {method: cells.pop(method, [Interval()] * len(columns)) for method in methods}
        grouped_bars(axis, place, bars, dict(zip(methods, palette)))
        for name, chance in cells.items():
            means = [cell.mean for cell in chance]
            axis.hlines(means, place - 0.45, place + 0.45, "0.25", "dashed", label=name, zorder=3)
        axis.set_title(METRICS[metric][0], fontsize=10, loc="left")
        axis.set_ylabel(METRICS[metric][1], fontsize=8)
        axis.set_xticks(place, [column_name(c) for c in columns], fontsize=9)
        axis.set_xlim(place[0] - 0.6, place[-1] + 0.6)
    has_errors = any(cell.half_width > 0 for line in lines for cell in line.cells.values())
    caption = "\nbars: mean over seeds, with its 95 % confidence interval" if has_errors else ""
    figure.suptitle(title + caption, fontsize=11)
    legend_below(figure, panels[:, 0], columns=4)
    figure.savefig(path, dpi=150)


def make_table(args: argparse.Namespace) -> None:
    """Print the table and write `results.md`, `results.json` and `results.png`."""
    out = args.out or args.results.parent
    rows = [row for row in read_results(args.results) if "group" not in row]
    rows.sort(key=lambda row: row["method"] == args.less)  # the last
    lines = summarise(rows)
    if not lines:
        metrics = ", ".join(metric for _, metric in METRICS)
        raise FairseqSignalsError(f"{args.results}: there is no row of {metrics}")
    header, body = table_cells(lines)
    notes = footnotes(rows, lines)
    shown_tables, tables = [format_table(header, body, n_left=2)], [markdown(header, body)]
    if args.less:
        columns = list(lines[0].cells)
        found = differences(args.saved, args.less, list(METRICS), columns, MEAN)
        body = [[METRICS[line.metric][0], line.method, *line.cells] for line in found]
        heading = f"Less {args.less}, with 95 % intervals over patients and seeds:"
        shown_tables += [heading, format_table(header, body, n_left=2)]
        tables += [heading, markdown(header, body)]
    print(args.title, *shown_tables, "\n".join(notes), sep="\n\n")
    page = [f"# {args.title}", *tables, "\n".join(f"- {note}" for note in notes)]
    write_text(out / "results.md", ["\n\n".join(page) + "\n"])
    written = ["results.md"]
    if out / "results.json" != args.results:
        write_results(out / "results.json", [row for row in rows if (row["task"], row["metric"]) in METRICS])
        written.append("results.json")
    if not args.no_chart:
        draw(lines, args.title, out / "results.png")
        written.append("results.png")
    print(f"wrote {' and '.join(str(out / name) for name in written)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the table that the command line asks for; the exit code is 1 on bad input."""
    parser = argparse.ArgumentParser(
        description="Print results of several methods as one table; write results.md, .json and .png."
    )
    parser.add_argument("results", type=Path, metavar="RESULTS.json", help="list of result rows")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: beside the file)")
    parser.add_argument("--title", default="Results", help="heading; name the data (default: %(default)s)")
    parser.add_argument("--less", metavar="METHOD", help="show how much the other methods are above this one")
    parser.add_argument("--saved", type=Path, metavar="DIR", help="of --less: what `evaluate --save` wrote")
    parser.add_argument("--no-chart", action="store_true", help="do not write results.png")
    args = parser.parse_args(argv)
    if (args.less is None) != (args.saved is None):
        parser.error("--less and --saved belong together")
    return run(make_table, args)


if __name__ == "__main__":
    sys.exit(main())
