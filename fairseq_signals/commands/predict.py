"""`fairseq-signals predict`: the probability of each class of each recording."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from fairseq_signals.commands.arguments import (
    RECORDS,
    add_labels,
    add_model,
    read_arguments,
    require_out,
    some_path,
    some_place,
)
from fairseq_signals.commands.model_arguments import add_use, input_arguments
from fairseq_signals.safety.text import counted

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".csv", ".parquet")
FIRST_COLUMNS = ("record", "positive")


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the probability of each class of each recording: columns record, positive (the "
        "classes above their threshold, joined with ;, or the most probable one where they exclude each "
        "other), and one a class, named by its label. A run that was stopped goes on with the same command. "
        "What cannot be used is listed with the reason in OUT.rejected.tsv.",
    )
    add_model(parser, "fine-tuned classifier")
    parser.add_argument("records", nargs="+", type=some_place, metavar="RECORDS", help=RECORDS)
    parser.add_argument("--out", type=some_path, required=True, metavar="FILE", help=".csv or .parquet")
    add_labels(parser)
    add_use(parser, classes=True)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Predict and write; the exit code is 1 if no recording could be used, or a library is missing."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.out, SUFFIXES)
    import pyarrow as pa

    from fairseq_signals.errors import LabelError
    from fairseq_signals.inference.bulk import run_all
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.resuming import only_run
    from fairseq_signals.safety.text import visible

    def table(names: Sequence[str], values: np.ndarray) -> pa.Table:
        positive = [visible(";".join(compress(model.labels, row))) for row in classes.positive(values)]
        columns = [pa.array(names), pa.array(positive), *map(pa.array, values.T)]
        return pa.table(columns, names=[*FIRST_COLUMNS, *map(visible, model.labels)])

    recordings = list_recordings(args.records)
    model = ECGModel.load(
        args.checkpoint,
        device=args.device,
        labels=args.labels,
        preset=args.preset,
        **input_arguments(args),
    )
    classes = model._require_classes()
    for label in model.labels:
        if label in FIRST_COLUMNS:
            raise LabelError(
                f"{args.checkpoint}: a class is called {label!r}, but so is another column of the result; "
                "pass --labels, a labels.csv with another name for it"
            )
    with only_run(args.out):
        result = run_all(
            model,
            recordings,
            args.out,
            "logit",
            lambda done: done.probabilities(model.aggregates),
            args.leads,
            args.batch_size,
            reading=read_arguments(args),
        )
        if result.names:
            result.write_table(table)
        code = result.finish()
    if result.names:
        print(f"wrote {args.out}: {counted(len(result.names), 'recording')}, {len(model.labels)} classes")
    return code
