"""LUDB, the Lobachevsky University Electrocardiography Database -> record store.

    python preprocess/ludb.py ROOT --dest STORE

ROOT is the folder of the release (ludb.csv, RECORDS, data/). A record's id is its number, from 1 to 200.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_signals.commands.absent_records import add_partial_argument, not_downloaded, without_absent
from fairseq_signals.commands.store_arguments import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.ecg.record import parse_age, parse_sex
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import list_folder
from fairseq_signals.store.csv_table import TableRow, read_rows
from fairseq_signals.store.record_table import RecordTable, join_table

TABLE = "ludb.csv"
FOLDER = "data"
SOURCE = "ludb"
#: Columns of ludb.csv whose cells hold diagnoses, one a line.
DIAGNOSES = (
    "Rhythms",
    "Electric axis of the heart",
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
)
COLUMNS = ("ID", "Sex", "Age", *DIAGNOSES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="LUDB -> record store")
    parser.add_argument("root", type=Path, help=f"folder of the release, with {TABLE} and {FOLDER}")
    add_partial_argument(parser)
    add_store_arguments(parser)
    return run(preprocess, parser.parse_args(argv))


def preprocess(args: argparse.Namespace) -> None:
    """List the records, join the table of the release, and store them."""
    table = read_diagnoses(args.root / TABLE)
    items = list_folder(args.root / FOLDER, SOURCE)
    present = {item.record_id for item in items}
    items += [
        not_downloaded(SOURCE, number, args.root, f"{FOLDER}/{number}.hea", TABLE)
        for number in table.rows
        if number not in present
    ]
    items, remarks = join_table(items, table)
    for remark in remarks:
        warn(remark)
    build_from_arguments(without_absent(items) if args.downloaded_only else items, args)


def read_diagnoses(path: Path) -> RecordTable:
    """What `ludb.csv` tells of each record, by its number.

    Raises:
        StoreError: the file is missing, or a row of it is not as in the release.
    """
    table = RecordTable(path)
    for row in read_rows(path, COLUMNS):
        number = row.number("ID")
        if number in table.rows:
            raise StoreError(f"{row.where}: record {number} is listed already")
        table.rows[number] = _fields(row)
    return table


def _fields(row: TableRow) -> dict[str, Any]:
    """The fields of `Item` that a row gives."""
    codes = [line.strip() for column in DIAGNOSES for line in row.cells[column].splitlines()]
    return {
        "age": parse_age(row.cells["Age"]),
        "sex": parse_sex(row.cells["Sex"]),
        "codes": tuple(dict.fromkeys(code for code in codes if code)),
        "attributes": row.attributes(COLUMNS),
    }


if __name__ == "__main__":
    sys.exit(main())
