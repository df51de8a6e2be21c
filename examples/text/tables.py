"""Tables of what was measured of ECGs and texts: zero-shot classes, written reports, questions.

    python examples/text/tables.py outputs/text/evaluations.json --out outputs/text

Reads the JSON list that `fairseq-signals zeroshot`, `score_reports.py` and `score_questions.py` collect with
`--json FILE --append`. A figure has its 95 % interval by patient where there is one; of several seeds there
is the mean, with the interval of the mean.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_signals.commands.store_arguments import run
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.evaluation.results import (
    Interval,
    format_interval,
    format_table,
    mean_over_seeds,
    read_results,
    write_results,
)
from fairseq_signals.files import write_text
from fairseq_signals.metrics.bootstrap import Bounds

#: By task, its title and the metrics of its table.
TABLES: dict[str, tuple[str, Mapping[str, str]]] = {
    "zero-shot": (
        "Classes by their names, and the own report among all of the test",
        {"macro_auroc": "macro AUROC", "recall_at_5": "recall at 5", "median_rank": "median rank"},
    ),
    "reports": (
        "Findings of written reports",
        {"macro_f1": "macro F1", "micro_f1": "micro F1", "exact_match": "all right", "bleu": "BLEU"},
    ),
}
QUESTIONS = "questions"


def table(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: one a method and its leads, a column a metric."""
    found: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        found.setdefault((row["method"], row["leads"]), {}).setdefault(row["metric"], []).append(row)
    body = [[*line, *(cell(metrics.get(metric, ())) for metric in titles)] for line, metrics in found.items()]
    return ["method", "leads", *titles.values()], [line for line in body if any(line[2:])]


def question_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: one a type of question, a column a method."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        found.setdefault(row["metric"], {}).setdefault(row["method"], []).append(row)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    body = [
        [
            metric.removeprefix("exact_match").removeprefix("_") or "all",
            f"{next(iter(of_method.values()))[0]['n']:,}",
            *(cell(of_method.get(method, ())) for method in methods),
        ]
        for metric, of_method in found.items()
    ]
    return ["type", "questions", *methods], body


def cell(rows: Sequence[Mapping[str, Any]]) -> str:
    """A figure with its interval, or the mean over seeds with its own; nothing where there is none."""
    values = [math.nan if row["value"] is None else row["value"] for row in rows]
    if not values:
        return ""
    if len(values) > 1:
        found = mean_over_seeds(values)
        return str(found if found.half_width >= 1e-12 else Interval(found.mean))
    low, high = rows[0].get("low"), rows[0].get("high")
    return format_interval(values[0], None if low is None or high is None else Bounds(low, high))


def section(title: str, header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Print a table, and give it for a Markdown page."""
    print(f"{title}\n\n{format_table(header, body, n_left=2)}\n")
    return [f"## {title}", markdown(header, body)]


def markdown(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rule = ["---", "---", *("---:" for _ in header[2:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *body))


def make_tables(args: argparse.Namespace) -> None:
    """Print the tables, and write `results.md` and `results.json`."""
    rows = [row for row in read_results(args.results) if "of" not in row and "group" not in row]
    pages = ["# Synthetic ECGs and their reports"]
    for task, (title, titles) in TABLES.items():
        own = [row for row in rows if row["task"] == task]
        if own:
            sizes = " or ".join(f"{n:,}" for n in sorted({row["n"] for row in own}))
            pages += section(f"{title} ({sizes} recordings)", *table(own, titles))
    own = [row for row in rows if row["task"] == QUESTIONS]
    if own:
        pages += section("Questions answered right, by type", *question_table(own))
    if len(pages) == 1:
        raise FairseqSignalsError(f"{args.results}: there is no row of {', '.join([*TABLES, QUESTIONS])}")
    write_text(args.out / "results.md", ["\n\n".join(pages) + "\n"])
    write_results(args.out / "results.json", rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="JSON list")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.md and results.json")
    return run(make_tables, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
