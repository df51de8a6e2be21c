"""`fairseq-signals embed`: one vector a recording."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairseq_signals.commands.arguments import (
    RECORDS,
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

SUFFIXES = (".parquet", ".npy")


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the embedding of each recording. A .parquet file has the columns record and "
        "embedding; beside an .npy file (recordings x dimensions, float32) OUT.records.csv lists the records "
        "in its order. A run that was stopped goes on with the same command. What cannot be used is listed "
        "with the reason in OUT.rejected.tsv.",
    )
    add_model(parser, "any model")
    parser.add_argument("records", nargs="+", type=some_place, metavar="RECORDS", help=RECORDS)
    parser.add_argument("--out", type=some_path, required=True, metavar="FILE", help=".parquet or .npy")
    parser.add_argument(
        "--layer",
        type=lambda given: int(given) if given.isdecimal() else given,
        metavar="N",
        help="layer of the encoder, from 0, the Transformer's input, to its last; or mix, of all as a model "
        "has learnt it with model.layer_mix (default: the mix of such a model, else the last layer)",
    )
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Embed and write; the exit code is 1 if no recording could be used, or a library is missing."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.out, SUFFIXES)
    import pyarrow as pa

    from fairseq_signals.inference.bulk import run_all, vector_column
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.resuming import only_run

    def table(names: Sequence[str], values: np.ndarray) -> pa.Table:
        made = pa.table({"record": names, "embedding": vector_column(values)})
        layer = {} if args.layer is None else {"layer": str(args.layer)}
        return made.replace_schema_metadata(
            {"model": model.fingerprint, "leads": args.leads or "all", **layer}
        )

    recordings = list_recordings(args.records)
    model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
    with only_run(args.out):
        result = run_all(
            model,
            recordings,
            args.out,
            ("embedding",),
            lambda done: done.embedding,
            args.leads,
            args.batch_size,
            reading=read_arguments(args),
            layer=args.layer,
        )
        dim = 0
        if result.names and args.out.suffix.lower() == ".npy":
            dim = result.write_npy()
        elif result.names:
            dim = result.write_table(table)
        code = result.finish()
    if result.names:
        print(f"wrote {args.out}: {counted(len(result.names), 'recording')}, {dim} dimensions")
    return code
