"""`fairseq-signals predict`: the probability of each class of each recording."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.model_arguments import RECORDS, add_model, add_use, require_suffix

SUFFIXES = (".csv", ".parquet")


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the probability of each class of each recording: columns record, positive (the "
        "classes "
        "above their threshold, joined with ;), and one a class, named by its label. A run that was "
        "stopped goes "
        "on with the same command. What cannot be used is listed with the reason in OUT.rejected.tsv.",
    )
    add_model(parser, "fine-tuned classifier")
    parser.add_argument("records", nargs="+", metavar="RECORDS", help=RECORDS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".csv or .parquet")
    parser.add_argument(
        "--labels", metavar="FILE", help="labels.csv, if the checkpoint does not name its classes"
    )
    parser.add_argument(
        "--aggregate",
        choices=("mean", "max"),
        default="mean",
        help="of the probabilities of a recording's segments (default: %(default)s)",
    )
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Predict and write; the exit code is 1 if no recording could be used."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_suffix(parser, args.out, SUFFIXES)
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    from fairseq_signals.inference.bulk import finish, run_all, write_file
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel

    recordings = list_recordings(args.records)
    model = ECGModel.load(args.checkpoint, device=args.device, labels=args.labels)
    names, values, reasons = run_all(
        model, recordings, args.out, "logit", lambda done: done.probabilities(args.aggregate), args.leads,
        args.batch_size, {"aggregate": args.aggregate},
    )  # fmt: skip
    if names:
        limits = list(model.thresholds.values())
        positive = [
            ";".join(label for label, p, t in zip(model.labels, row, limits) if p > t) for row in values
        ]
        columns = {label: column for label, column in zip(model.labels, values.T)}
        table = pa.table({"record": names, "positive": positive, **columns})
        write = pa.csv.write_csv if args.out.suffix.lower() == ".csv" else pq.write_table
        write_file(args.out, lambda path: write(table, path))
    finish(args.out, reasons)
    if not names:
        print("no recording could be used, nothing was written", file=sys.stderr)
        return 1
    print(f"wrote {args.out}: {len(names)} recordings, {values.shape[1]} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
