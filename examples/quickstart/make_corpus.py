"""Write a synthetic corpus of 12-lead ECG as WFDB files in the PhysioNet/CinC 2021 layout.

    python examples/quickstart/make_corpus.py --dest data/raw --patients 500 --seed 1 --sessions 1..4

makes DEST/WFDB_*/ with a .hea and a .mat a record, DEST/patients.csv (which record is whose),
DEST/reports.csv (what a report says of each record, and the split of its patient), DEST/classes.csv and
DEST/prompts.csv (the classes, and what may be written of them), DEST/corpus.json (the arguments) and
DEST/README.md. The same arguments give the same bytes, whatever the number of workers. A run that was stopped
continues where it was; a folder that holds another corpus is left alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fairseq_signals.commands.store_arguments import run
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.reports import WORDINGS
from fairseq_signals.synthetic.wfdb_files import NOTICE
from fairseq_signals.synthetic.writer import write_corpus


def parse_sessions(text: str) -> tuple[int, int]:
    """(fewest, most) from "2" or "1..4"."""
    low, _, high = text.partition("..")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or LOW..HIGH, but is {text!r} instead") from None


def make_corpus(args: argparse.Namespace) -> None:
    """Write the corpus, and say what it holds."""
    options = {key: value for key, value in vars(args).items() if key not in ("dest", "workers", "wording")}
    counts = write_corpus(CorpusConfig(**options), args.dest, args.workers, args.wording)
    n_records = counts.pop("records")
    print(f"Wrote {n_records:,} SYNTHETIC records of {args.patients:,} patients to {args.dest} ({NOTICE}).")
    print("Records a class: " + ", ".join(f"{name} {counts[name]}" for name in SNOMED_CODES))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dest", type=Path, required=True, help="folder to write to")
    parser.add_argument("--patients", type=int, default=500, help="number of patients (%(default)s)")
    parser.add_argument(
        "--sessions",
        type=parse_sessions,
        default=(1, 4),
        metavar="N|LOW..HIGH",
        help="recordings a patient (1..4)",
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other patients (%(default)s)")
    parser.add_argument(
        "--duration",
        type=float,
        default=10.0,
        dest="duration_s",
        metavar="DURATION",
        help="seconds a record (%(default)s)",
    )
    parser.add_argument("--noise", type=float, default=1.0, help="factor of all noise (%(default)s)")
    parser.add_argument("--spread", type=float, default=1.0, help="how much patients differ (%(default)s)")
    parser.add_argument(
        "--wording",
        choices=tuple(WORDINGS),
        help="of all reports (default: of test patients one that training does not see)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    return run(make_corpus, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
