"""ZZU pECG, ECGs of children -> record store.

    python preprocess/zzu_pecg.py ROOT --dest STORE

ROOT holds AttributesDictionary.csv and the records (P00/P00001/P00001_E01.hea, ...) at any depth. A record's
id is its name.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fairseq_signals.commands.absent_records import join_listed
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.csv_table import TableRow, read_rows
from fairseq_signals.store.record_table import RecordTable

SOURCE = "zzu_pecg"
TABLE = "AttributesDictionary.csv"
SEX = {"'Female'": "female", "'Male'": "male"}
AHA, ICD = "AHA_code", "ICD-10 code"
COLUMNS = ("Filename", "ECG_ID", "Patient_ID", "Age", "Gender", AHA, ICD)
ICD_PREFIX = "ICD-10:"  #: of codes: C21 is sinus tachycardia in the one system and a tumour in the other
_DAYS = re.compile(r"(\d+)d")
_DAYS_A_YEAR = 365.25


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records, joined to the table."""
    table, files = read_attributes(args.root / TABLE)
    items = [
        replace(item, record_id=PurePosixPath(item.record_id).name) for item in iter_folder(args.root, SOURCE)
    ]
    return join_listed(items, table, SOURCE, args.root, lambda name: f"{files[name]}.hea")


def read_attributes(path: Path) -> tuple[RecordTable, dict[str, str]]:
    """What the table tells of each record, and where its file is, by its name.

    Raises:
        StoreError: the file is missing, or a row of it is not as in the release.
    """
    table, files = RecordTable(path), {}
    for row in read_rows(path, COLUMNS):
        name = row.text("ECG_ID")
        if name in table.rows:
            raise StoreError(f"{row.where}: record {name} is listed already")
        table.rows[name] = _fields(row)
        files[name] = row.text("Filename")
    return table, files


def _fields(row: TableRow) -> dict[str, Any]:
    """The fields of `Item` that a row gives."""
    diagnoses = [f"{ICD_PREFIX}{code}" for code in _quoted(row.cells[ICD])]
    return {
        "patient_id": row.text("Patient_ID"),
        "age": row.value("Age", _years, "days, such as 572d") if row.cells["Age"] else None,
        "sex": row.choice("Gender", SEX),
        "codes": tuple(dict.fromkeys([*_quoted(row.cells[AHA]), *diagnoses])),
        "attributes": row.attributes(COLUMNS),
    }


def _quoted(text: str) -> list[str]:
    """The codes of a cell such as 'C21';'I105'."""
    return [code.strip(" '") for code in text.split(";") if code.strip(" '")]


def _years(text: str) -> float | None:
    days = _DAYS.fullmatch(text)
    return round(int(days[1]) / _DAYS_A_YEAR, 2) if days else None


main = corpus_script(
    "ZZU pECG -> record store", f"folder with {TABLE} and the records", list_records, partial=True
)

if __name__ == "__main__":
    sys.exit(main())
