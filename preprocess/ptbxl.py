"""PTB-XL, with its patients, statements and reports -> record store.

    python preprocess/ptbxl.py ROOT --dest STORE

ROOT is the folder of the release (ptbxl_database.csv, records500/, records100/). Its 500 Hz records
are stored, or with --rate 100 its 100 Hz ones. A record's id is its file name, such as 00001_hr.
"""

from __future__ import annotations

import argparse
import ast
import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fairseq_signals.data.build_cli import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.data.record_table import RecordTable, join_table
from fairseq_signals.data.rows import list_folder
from fairseq_signals.errors import StoreError

TABLE = "ptbxl_database.csv"
SOURCE = "ptb-xl"
FOLDERS = {"500": "records500", "100": "records100"}
SEX = {"0": "male", "1": "female"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="PTB-XL -> record store")
    parser.add_argument("root", type=Path, help=f"folder of the release, with {TABLE}")
    parser.add_argument(
        "--rate", choices=FOLDERS, default="500", help="take the records of this rate in Hz (default: 500)"
    )
    add_store_arguments(parser)
    return run(preprocess, parser.parse_args(argv))


def preprocess(args: argparse.Namespace) -> None:
    """List the records, join the table of the release, and store them."""
    table = read_database(args.root / TABLE, args.rate)
    items = list_folder(args.root / FOLDERS[args.rate], SOURCE)
    items = [replace(item, record_id=PurePosixPath(item.record_id).name) for item in items]
    items, remarks = join_table(items, table)
    for remark in remarks:
        warn(remark)
    build_from_arguments(items, args)


def read_database(path: Path, rate: str) -> RecordTable:
    """What `ptbxl_database.csv` tells of the records of one rate, by their file names.

    Raises:
        StoreError: the file is missing, or a row of it is not as in the release.
    """
    column = "filename_hr" if rate == "500" else "filename_lr"
    table = RecordTable(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as e:
        raise StoreError(f"{path}: cannot be read ({e.strerror}). Give the folder of the release.") from e
    reader = csv.DictReader(lines)
    for row in reader:
        try:
            table.rows[PurePosixPath(row[column]).name] = _fields(row)
        except (KeyError, TypeError, ValueError, SyntaxError) as e:
            raise StoreError(f"{path}:{reader.line_num}: not a row of the release ({e!r})") from e
    return table


def _fields(row: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "patient_id": str(int(float(row["patient_id"]))),
        "codes": tuple(ast.literal_eval(row["scp_codes"])),  # {statement: likelihood}
        "report": row["report"] or None,
        "sex": SEX[row["sex"]],
    }
    if row["age"]:
        fields["age"] = float(row["age"])
    return fields


if __name__ == "__main__":
    sys.exit(main())
