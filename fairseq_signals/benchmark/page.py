"""The leaderboard of a run, in one HTML file that loads nothing.

    python -m fairseq_signals.benchmark.page OUT

shows the tables that `python -m fairseq_signals.benchmark.table OUT` wrote, as `OUT/leaderboard.html`, and
the main ones in `OUT/leaderboard.md`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from fairseq_signals import __version__
from fairseq_signals.benchmark.board_section import boards_section
from fairseq_signals.benchmark.boards import Run, read_run
from fairseq_signals.benchmark.markdown import write_markdown
from fairseq_signals.benchmark.method_section import methods_section
from fairseq_signals.benchmark.overall_section import cost_section, overall_section
from fairseq_signals.benchmark.scores import LEVEL
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.files import write_text
from fairseq_signals.report.page import Section, page
from fairseq_signals.safety.text import counted, tell

FILE = "leaderboard.html"
HERE = Path(__file__).resolve().parent
NOTES = (
    "A value is the mean over the seeds of pre-training. Its 95 % interval is over patients, who are drawn "
    "again with all their records, and over seeds, whose variance is pooled over the methods of a table; of "
    "a row whose seeds are all alike, such as weights that were not trained here, over patients alone.",
    "A difference of two methods is of the same patients, drawn alike, so that what is hard for both cancels "
    f"out. An order is decided where its p-value is below {LEVEL:g} after Holm's correction for all pairs of "
    "that table; the many tables are not corrected for. An order that is not decided may be either: the data "
    "do not tell.",
    "The mean of lead sets is over those of the table that stand for themselves. Each method saw the same "
    "training patients with labels, and smaller shares of them are parts of larger ones.",
    "benchmark.csv has every cell with all metrics, pairs.csv every pair with its interval, p-value and the "
    "share of draws in which the first is better, each of other patients and other seeds. The files in "
    "results/ have what each model said of each record: fairseq-signals compare takes any two of a task.",
)


def write_page(settings: Settings) -> list[Path]:
    """Write the page of a run, and its text; the tables are there.

    Raises:
        ResultsError: a table is not there, or not as it must be.
    """
    run, path = read_run(settings), Path(settings.out) / FILE
    tasks = counted(len(settings.tasks), "task")
    what = f"{counted(len(run.methods), 'method')}, {tasks}, {counted(len(settings.seeds), 'seed')}; "
    what += "test patients" if settings.split == "test" else "validation patients: choices are made on these"
    made = f"fairseq-signals {__version__}, page of {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC."
    script, style = ((HERE / f"leaderboard.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    write_text(path, page(settings.title, what, list(_sections(run)), made, style, script))
    return [path, write_markdown(run)]


def _sections(run: Run) -> Iterator[Section]:
    yield overall_section(run)
    yield boards_section(run)
    yield cost_section(run)
    yield methods_section(run)
    notes = Section("How to read it")
    for note in NOTES:
        notes.text(note)
    yield notes


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page of a run."""
    parser = argparse.ArgumentParser(
        prog="python -m fairseq_signals.benchmark.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder of a run of the benchmark")
    args = parser.parse_args(argv)
    try:
        paths = write_page(Settings.read(args.out, out=str(args.out)))
    except FairseqSignalsError as error:
        tell(f"error: {error}")
        return 1
    print(f"wrote {', '.join(map(str, paths))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
