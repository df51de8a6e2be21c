"""One table of the paper from the results of its models: Markdown, chart, and rows of one tidy CSV file.

    python tables.py 1 --results results --out . --seeds 1 2 3 --scale demo

Each cell is the mean over seeds and the half-width of the 95 % confidence interval of that mean (Student's t
with one degree of freedom fewer than there are seeds), above the paper's own figure. `results.csv` holds the
values of every seed, of all tables that have been made.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from published import EXTRA_METHODS, TABLES, Cell, cells_of, columns_in_order, labels_in_order

from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.results import Interval, mean_over_seeds, read_results
from fairseq_signals.files import write_text
from fairseq_signals.safety.locks import in_turn

TITLES = {
    "1": "methods, pre-trained on 12 leads, fine-tuned and tested on lead sets padded with zeros",
    "2": "methods, pre-trained, fine-tuned and tested on the same leads",
    "3": "random lead masking in pre-training, W2V and CMSC alone",
    "4": "random lead masking against physiological noise, in pre-training of W2V+CMSC",
}
#: (task, metric) of each part of a table: its heading, and whether the paper has it.
PARTS = {
    ("Dx", "cinc_score"): ("Dx: CinC 2021 score", True),
    ("Id", "accuracy"): ("Id: top-1 accuracy", True),
    ("Dx", "macro_auroc"): ("Dx: macro AUROC (not in the paper)", False),
}
CHANCE = "chance"
HERE, IN_PAPER = "here", "paper"
FIELDS = (
    *("table", "label", "method", "task", "column", "pretrained_on", "leads"),
    *("seed", "metric", "value", "n", "scale"),
)


class Line(NamedTuple):
    """A line of a part of a table.

    Args:
        label: the paper's name of the method, or "chance".
        source: HERE or IN_PAPER.
        cells: by column.
    """

    label: str
    source: str
    cells: dict[str, Interval]


def tidy_rows(
    cells: Sequence[Cell], results: Sequence[dict[str, Any]], seeds: Sequence[int], scale: str
) -> list[dict[str, Any]]:
    """One row a cell, seed and metric, in the order of the cells.

    Raises:
        FairseqSignalsError: a cell has no result for a seed.
    """
    by_key: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in results:
        key = (row["task"], row["method"], row["pretrained_on"], row["leads"], row["seed"])
        by_key.setdefault(key, []).append(row)
    rows = []
    for cell in cells:
        for seed in seeds if cell.is_run else ():
            found = by_key.get((*cell.result, seed))
            if not found:
                raise FairseqSignalsError(f"Table {cell.table}: no result of {cell.result}, seed {seed}")
            task, method, pretrained_on, leads = cell.result
            about = {"table": cell.table, "label": cell.label, "method": method, "task": task}
            about.update(column=cell.column, pretrained_on=pretrained_on, leads=leads, seed=seed, scale=scale)
            rows += ({**about, **{key: row[key] for key in ("metric", "value", "n")}} for row in found)
    return rows


def lines_of(cells: Sequence[Cell], rows: Sequence[dict[str, Any]], part: tuple[str, str]) -> list[Line]:
    """The lines of a part of the table: for each method what was reached here, then the paper's figures."""
    task, metric = part
    columns = columns_in_order(cells, task)
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        key = (row["label"], row["column"], row["metric"])
        values.setdefault(key, []).append(math.nan if row["value"] is None else row["value"])
    published = {(cell.label, cell.column): cell for cell in cells if cell.task == task}
    lines = []
    for label in labels_in_order(cells):
        here = {c: mean_over_seeds(values.get((label, c, metric), [])) for c in columns}
        lines.append(Line(label, HERE, here))
        if PARTS[part][1] and label not in EXTRA_METHODS:
            found = (published[label, column] for column in columns)
            paper = {c.column: Interval() if c.mean is None else Interval(c.mean, c.ci95) for c in found}
            lines.append(Line(label, IN_PAPER, paper))
    if metric == "accuracy":
        chance = [value for key, found in values.items() if key[2] == CHANCE for value in found]
        if chance:
            lines.append(Line(CHANCE, HERE, dict.fromkeys(columns, Interval(float(np.mean(chance))))))
    return lines


def markdown(lines: Sequence[Line]) -> list[str]:
    """A part of the table as aligned Markdown."""
    columns = list(lines[0].cells)
    body = [["method", "", *columns]]
    for above, line in zip([None, *lines], lines):
        repeated = above is not None and above.label == line.label
        body.append(["" if repeated else line.label, line.source, *map(str, line.cells.values())])
    widths = [max(len(row[i]) for row in body) for i in range(len(body[0]))]
    cells = [
        [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))] for row in body
    ]
    rule = ["-" * w if i < 2 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]


def page(
    table: str, cells: Sequence[Cell], rows: Sequence[dict[str, Any]], scale: str, other_data: bool
) -> str:
    """The table as a page."""
    text = [f"# Table {table}, {scale} scale", "", f"{TITLES[table][0].upper()}{TITLES[table][1:]}.", ""]
    for part, (title, _) in PARTS.items():
        text += [f"## {title}", "", *markdown(lines_of(cells, rows, part)), ""]
    n_seeds = len({row["seed"] for row in rows})
    notes = [f"here: mean ± half-width of its 95 % confidence interval over {n_seeds} seeds (Student's t)"]
    if other_data:
        notes.append("**data and models are not the paper's, so figures do not compare with its own**")
    notes.append("paper: Oh et al., CHIL 2022, with its own 95 % interval")
    for task, what in (("classification", "test records"), ("identification", "probes")):
        sizes = sorted({row["n"] for row in rows if row["task"] == task})
        notes.append(f"{task}: {' or '.join(f'{n:,}' for n in sizes)} {what}")
    undefined = sum(row["value"] is None for row in rows)
    if undefined:
        notes.append(f"{undefined} undefined values are left out, so that their cells are of fewer seeds")
    return "\n".join([*text, *(f"- {note}" for note in notes)]) + "\n"


def update_csv(path: Path, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Replace the rows of one table in `results.csv`, and keep those of others."""
    with in_turn(path):  # tables may be made side by side
        kept: list[dict[str, Any]] = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if row["table"] != table]
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, *rows], key=lambda row: row["table"]))
        write_text(path, [buffer.getvalue()])


def main(argv: Sequence[str] | None = None) -> int:
    """Write `table<N>.md`, `table<N>.png` and `results.csv`; the exit code is 1 on bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="folder of result files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--scale", default="paper", help="its name, for the heading")
    parser.add_argument("--methods", nargs="+", default=[], help="of the paper's rows these alone")
    parser.add_argument("--lead-sets", nargs="+", default=[], help="of the paper's columns these alone")
    parser.add_argument("--extra-methods", nargs="+", default=[], help="rows that the paper does not have")
    parser.add_argument("--no-chart", action="store_true", help="do not write the picture")
    parser.add_argument("--other-data", action="store_true", help="say that the paper's data were others")
    args = parser.parse_args(argv)
    try:
        cells = cells_of(args.table, args.methods, args.lead_sets, args.extra_methods)
        results = [
            row
            for path in sorted(args.results.rglob("*.json"))
            for row in read_results(path)
            if "group" not in row
        ]
        rows = tidy_rows(cells, results, args.seeds, args.scale)
    except FairseqSignalsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    update_csv(args.out / "results.csv", args.table, rows)
    if not args.no_chart:
        from charts import draw

        parts = {title: lines_of(cells, rows, part) for part, (title, _) in PARTS.items()}
        title = f"Table {args.table}, {args.scale} scale: {TITLES[args.table]}"
        draw(parts, title, args.out / f"table{args.table}.png")
    text = page(args.table, cells, rows, args.scale, args.other_data)
    write_text(args.out / f"table{args.table}.md", [text])
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
