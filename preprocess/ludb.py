"""LUDB, the Lobachevsky University Electrocardiography Database -> record store.

    python preprocess/ludb.py ROOT --dest STORE

ROOT is the folder of the release (ludb.csv, RECORDS, data/). A record's id is its number, from 1 to 200.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fairseq_signals.commands.absent_records import join_listed
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.ecg.record import parse_age, parse_sex
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.csv_table import TableRow, read_rows
from fairseq_signals.store.record_table import RecordTable

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


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records, joined to the table of the release."""
    table = read_diagnoses(args.root / TABLE)
    items = list(iter_folder(args.root / FOLDER, SOURCE))
    return join_listed(items, table, SOURCE, args.root, lambda number: f"{FOLDER}/{number}.hea")


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


main = corpus_script(
    "LUDB -> record store", f"folder of the release, with {TABLE} and {FOLDER}", list_records, partial=True
)

if __name__ == "__main__":
    sys.exit(main())
