"""SPH, the 12-lead ECG database of Shandong Provincial Hospital -> record store.

    python preprocess/sph.py ROOT --dest STORE

ROOT holds metadata.csv and the records (A00001.h5, ...), usually in a folder records/. A record's id is its
file name.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.absent_records import join_listed
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.csv_table import read_rows
from fairseq_signals.store.record_table import RecordTable

TABLE = "metadata.csv"
SUFFIX = ".h5"
SOURCE = "sph"
READER = "sph_hdf5"
SEX = {"F": "female", "M": "male"}
COLUMNS = ("ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex")


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records, joined to the table."""
    table = read_metadata(args.root / TABLE)
    items = [
        replace(item, record_id=PurePosixPath(item.record_id).name)
        for item in iter_folder(args.root, SOURCE, reader=READER, suffixes=(SUFFIX,))
    ]
    return join_listed(items, table, SOURCE, args.root, lambda name: f"{name}{SUFFIX}")


def read_metadata(path: Path) -> RecordTable:
    """What `metadata.csv` tells of each record, by its name.

    Raises:
        StoreError: the file is missing, or a row of it is not as in the release.
    """
    table = RecordTable(path)
    for row in read_rows(path, COLUMNS):
        name = row.text("ECG_ID")
        name = name[: -len(SUFFIX)] if name.endswith(SUFFIX) else name
        if name in table.rows:
            raise StoreError(f"{row.where}: record {name} is listed already")
        codes = (code.strip() for code in row.cells["AHA_Code"].split(";"))
        table.rows[name] = {
            "patient_id": row.patient("Patient_ID"),
            "age": row.age("Age"),
            "sex": row.choice("Sex", SEX),
            "codes": tuple(dict.fromkeys(code for code in codes if code)),
            "attributes": row.attributes(COLUMNS),
        }
    return table


main = corpus_script(
    "SPH (Shandong Provincial Hospital) -> record store",
    f"folder with {TABLE} and the records ({SUFFIX})",
    list_records,
    partial=True,
)

if __name__ == "__main__":
    sys.exit(main())
