"""PTB-XL, with its patients, statements, reports and folds -> record store.

    python preprocess/ptbxl.py ROOT --dest STORE

ROOT is the folder of the release: ptbxl_database.csv, scp_statements.csv, records500/, records100/. The
records of 500 Hz are stored, or with --rate 100 those of 100 Hz. An id is a file name, such as 00001_hr.
"""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fairseq_signals.commands.absent_records import join_listed
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.csv_table import TableRow, read_rows
from fairseq_signals.store.record_table import RecordTable

TABLE = "ptbxl_database.csv"
STATEMENTS = "scp_statements.csv"
SOURCE = "ptb-xl"
#: Folder of the records of each rate in Hz, and the column of the table that names their files.
RATES = {"500": ("records500", "filename_hr"), "100": ("records100", "filename_lr")}
SEX = {"0": "male", "1": "female"}
COLUMNS = ("patient_id", "age", "sex", "report", "scp_codes", "strat_fold")
#: Columns with a place of their own in the store; `scp_codes` is also kept as it is, for its likelihoods.
USED = ("patient_id", "age", "sex", "report", "filename_hr", "filename_lr")


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records of one rate, joined to the table of the release."""
    table, files = read_database(args.root / TABLE, args.rate)
    check_statements(args.root / STATEMENTS, table)
    items = [
        replace(item, record_id=PurePosixPath(item.record_id).name)
        for item in iter_folder(find_records(args.root, args.rate), SOURCE)
    ]
    return join_listed(items, table, SOURCE, args.root, lambda record_id: f"{files[record_id]}.hea")


def find_records(root: Path, rate: str) -> Path:
    """The folder with the records of a rate.

    Raises:
        StoreError: only records of the other rate are there.
    """
    folder = root / RATES[rate][0]
    others = [name for name, (other, _) in RATES.items() if (root / other).is_dir()]
    if not folder.is_dir() and others:
        raise StoreError(
            f"{folder}: there is no such folder. Pass --rate {others[0]} for the records there are."
        )
    return folder


def read_database(path: Path, rate: str) -> tuple[RecordTable, dict[str, str]]:
    """What `ptbxl_database.csv` tells of the records of one rate, and where they should be, by file name.

    Raises:
        StoreError: the file is missing, or a row of it is not as in the release.
    """
    _, column = RATES[rate]
    table, files = RecordTable(path), {}
    for row in read_rows(path, (*COLUMNS, column)):
        file = row.text(column)
        record_id = PurePosixPath(file).name
        if record_id in files:
            raise StoreError(f"{row.where}: {column} {file} is listed already")
        files[record_id] = file
        table.rows[record_id] = _fields(row)
    return table, files


def _fields(row: TableRow) -> dict[str, Any]:
    """The fields of `Item` that a row gives."""
    likelihoods = row.value("scp_codes", _statements, "as {'NORM': 100.0}")
    return {
        "patient_id": row.patient("patient_id"),
        "age": row.age("age"),
        "sex": row.choice("sex", SEX),
        "codes": tuple(likelihoods),
        "report": row.cells["report"] or None,
        "attributes": row.attributes(USED),
    }


def _statements(text: str) -> dict[str, float]:
    """Likelihood in percent of each statement; 0 where the report does not tell it."""
    return {
        str(statement): float(likelihood) for statement, likelihood in dict(ast.literal_eval(text)).items()
    }


def check_statements(path: Path, table: RecordTable) -> None:
    """Warn of statements that `scp_statements.csv` does not define: no label set would have them.

    Raises:
        StoreError: the file cannot be read.
    """
    if not path.is_file():
        warn(f"{path} is not there; statements are stored without checking them against it")
        return
    defined = {next(iter(row.cells.values())) for row in read_rows(path, ("description", "diagnostic_class"))}
    used = {code for fields in table.rows.values() for code in fields["codes"]}
    unknown = sorted(used - defined)
    if unknown:
        warn(f"{table.path}: {len(unknown)} statements are not in {path.name}: {', '.join(unknown)}")


main = corpus_script(
    "PTB-XL -> record store",
    f"folder of the release, with {TABLE}",
    list_records,
    {
        "--rate": {
            "choices": RATES,
            "default": "500",
            "help": "take the records of this rate in Hz (default: 500)",
        }
    },
    partial=True,
)

if __name__ == "__main__":
    sys.exit(main())
