"""Any folder of WFDB records -> record store.

    python preprocess/wfdb_folder.py ROOT --dest STORE --source NAME

Every header (.hea) below ROOT is a record, its id the path below ROOT. What the headers do not tell can come
from a table (--metadata); see preprocess/README.md for its columns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.data.build_cli import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.data.record_table import join_table, read_record_table
from fairseq_signals.data.rows import list_folder
from fairseq_signals.errors import StoreError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="any folder of WFDB records -> record store")
    parser.add_argument("root", type=Path, help="folder with the records, at any depth")
    parser.add_argument("--source", required=True, help="name of the corpus, as `source` in the store")
    parser.add_argument(
        "--metadata",
        type=Path,
        help="CSV with the column record_id and any of patient_id, age, sex, codes, report, source",
    )
    parser.add_argument(
        "--only-listed", action="store_true", help="leave out records that the metadata table does not list"
    )
    parser.add_argument(
        "--patient-from-folder", action="store_true", help="the folder a record lies in names the patient"
    )
    add_store_arguments(parser)
    return run(preprocess, parser.parse_args(argv))


def preprocess(args: argparse.Namespace) -> None:
    """List the records below the folder, join the table, and store them."""
    if args.only_listed and args.metadata is None:
        raise StoreError("--only-listed needs --metadata, the table that lists the records")
    items = list_folder(args.root, args.source, args.patient_from_folder)
    if args.metadata is not None:
        items, remarks = join_table(items, read_record_table(args.metadata), args.only_listed)
        for remark in remarks:
            warn(remark)
        if not items:
            raise StoreError(
                f"{args.metadata}: no record below {args.root} is listed. A record_id is the path below that "
                f"folder without .hea."
            )
    build_from_arguments(items, args)


if __name__ == "__main__":
    sys.exit(main())
