"""`fairseq-signals embed`: one vector a recording."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.model_arguments import RECORDS, add_model, add_use, require_suffix

SUFFIXES = (".parquet", ".npy")


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the embedding of each recording. A .parquet file has the columns record and "
        "embedding; "
        "beside an .npy file (recordings x dimensions, float32) a .csv of the same name lists the records "
        "in its "
        "order. A run that was stopped goes on with the same command. What cannot be used is listed with the "
        "reason in OUT.rejected.tsv.",
    )
    add_model(parser, "any model")
    parser.add_argument("records", nargs="+", metavar="RECORDS", help=RECORDS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet or .npy")
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Embed and write; the exit code is 1 if no recording could be used."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_suffix(parser, args.out, SUFFIXES)
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    from fairseq_signals.inference.bulk import finish, run_all, write_file
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel

    recordings = list_recordings(args.records)
    model = ECGModel.load(args.checkpoint, device=args.device)
    names, values, reasons = run_all(
        model, recordings, args.out, "embedding", lambda done: done.embedding, args.leads, args.batch_size
    )
    if names and args.out.suffix.lower() == ".npy":
        listed = pa.table({"record": names})
        write_file(args.out.with_suffix(".csv"), lambda path: pa.csv.write_csv(listed, path))
        write_file(args.out, lambda path: np.save(path, values))
    elif names:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        table = pa.table({"record": names, "embedding": vectors})
        table = table.replace_schema_metadata({"model": model.fingerprint, "leads": args.leads or "all"})
        write_file(args.out, lambda path: pq.write_table(table, path))
    finish(args.out, reasons)
    if not names:
        print("no recording could be used, nothing was written", file=sys.stderr)
        return 1
    print(f"wrote {args.out}: {len(names)} recordings, {values.shape[1]} dimensions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
