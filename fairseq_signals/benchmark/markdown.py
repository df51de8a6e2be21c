"""`leaderboard.md`: the main tables of a run, for those who read text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fairseq_signals.benchmark.boards import Found, Run
from fairseq_signals.benchmark.scores import LEVEL
from fairseq_signals.benchmark.table import cost_of
from fairseq_signals.benchmark.words import (
    against_text,
    board_title,
    count,
    cpu_seconds,
    decimals_of,
    lead_title,
    value_text,
)
from fairseq_signals.files import write_text
from fairseq_signals.safety.text import visible

FILE = "leaderboard.md"


def write_markdown(run: Run) -> Path:
    """Write the file."""
    path = Path(run.settings.out) / FILE
    write_text(path, (f"{line}\n" for line in _lines(run)))
    return path


def _lines(run: Run) -> Iterator[str]:
    baseline = run.settings.baseline
    yield f"# {_safe(run.settings.title)}\n"
    yield (
        "Means over seeds with 95 % intervals over patients and seeds; below them differences from "
        f"{_safe(run.title(baseline))}, paired by patient. Bold: decided at {LEVEL:.0%} after Holm's "
        "correction for all pairs of the table.\n"
    )
    for found in run.boards:
        records, patients = found.sizes
        yield f"## {_safe(board_title(run, found.board))}\n"
        yield (
            f"{found.metric_title}, {_safe(found.corpus)}, {records:,} records of {patients:,} patients.\n"
        )
        yield from _table(["", *map(lead_title, found.values)], _values(run, found))
        if baseline in found.values[found.main] and len(found.values[found.main]) > 1:
            yield from _table(["less the baseline", *map(lead_title, found.values)], _differences(run, found))
    yield "## Cost\n"
    header = ["", "updates", "CPU s an update", "CPU s", "parameters"]
    rows = []
    for name in run.methods:
        updates, an_update = cost_of(run.settings, name)
        cells = [count(updates), count(an_update, 3), count(cpu_seconds(run, name))]
        rows.append([_safe(run.title(name)), *cells, count(run.parameters.get(name))])
    yield from _table(header, rows)


def _values(run: Run, found: Found) -> Iterator[list[str]]:
    for name in found.ranked(found.main):
        values = (of.get(name) for of in found.values.values())
        cells = [" ".join(value_text(value, decimals_of(found))) if value else "" for value in values]
        yield [_safe(run.title(name)), *cells]


def _differences(run: Run, found: Found) -> Iterator[list[str]]:
    baseline = run.settings.baseline
    for name in found.ranked(found.main):
        if name != baseline:
            pairs = (found.against(leads, name, baseline) for leads in found.values)
            cells = []
            for pair in pairs:
                text = " ".join(against_text(pair, decimals_of(found))) if pair else ""
                cells.append(f"**{text}**" if pair and pair.decided else text)
            yield [_safe(run.title(name)), *cells]


def _table(header: Sequence[str], rows: Iterator[list[str]] | list[list[str]]) -> Iterator[str]:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    for cells in (header, ruler, *rows):
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _safe(text: str) -> str:
    """A text of others in which nothing is markup."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#&~" else c for c in visible(text))
