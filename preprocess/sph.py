"""SPH, the 12-lead ECG database of Shandong Provincial Hospital -> record store.

    python preprocess/sph.py ROOT --dest STORE

ROOT holds metadata.csv and the records (A00001.h5, ...), usually in a folder records/. A record's id is its
file name.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.absent_records import add_partial_argument, not_downloaded, without_absent
from fairseq_signals.commands.store_arguments import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import iter_folder
from fairseq_signals.store.csv_table import read_rows
from fairseq_signals.store.record_table import RecordTable, join_table

TABLE = "metadata.csv"
SUFFIX = ".h5"
SOURCE = "sph"
READER = "sph_hdf5"
SEX = {"F": "female", "M": "male"}
COLUMNS = ("ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="SPH (Shandong Provincial Hospital) -> record store")
    parser.add_argument("root", type=Path, help=f"folder with {TABLE} and the records ({SUFFIX})")
    add_partial_argument(parser)
    add_store_arguments(parser)
    return run(preprocess, parser.parse_args(argv))


def preprocess(args: argparse.Namespace) -> None:
    """List the records, join the table, and store them."""
    table = read_metadata(args.root / TABLE)
    items = [
        replace(item, record_id=PurePosixPath(item.record_id).name)
        for item in iter_folder(args.root, SOURCE, reader=READER, suffixes=(SUFFIX,))
    ]
    present = {item.record_id for item in items}
    items += [
        not_downloaded(SOURCE, name, args.root, f"{name}{SUFFIX}", TABLE)
        for name in table.rows
        if name not in present
    ]
    items, remarks = join_table(items, table)
    for remark in remarks:
        warn(remark)
    build_from_arguments(without_absent(items) if args.downloaded_only else items, args)


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
            "patient_id": row.text("Patient_ID"),
            "age": row.age("Age"),
            "sex": row.choice("Sex", SEX),
            "codes": tuple(dict.fromkeys(code for code in codes if code)),
            "attributes": row.attributes(COLUMNS),
        }
    return table


if __name__ == "__main__":
    sys.exit(main())
