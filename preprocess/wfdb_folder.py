"""Any folder of WFDB records -> record store.

    python preprocess/wfdb_folder.py ROOT --dest STORE --source NAME

Every header (.hea) below ROOT is a record, its id the path below ROOT. What the headers do not tell can come
from a table (--metadata); see preprocess/README.md for its columns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.data.build_cli import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.data.record_table import RecordTable, read_record_table
from fairseq_signals.data.rows import Item
from fairseq_signals.ecg.folder import find_records
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
    items = list_items(args.root, args.source, args.patient_from_folder)
    if not items:
        raise StoreError(f"{args.root}: there is no WFDB record (.hea) in this folder or below it")
    if args.metadata is not None:
        items = join_table(items, read_record_table(args.metadata), args.only_listed)
        if not items:
            raise StoreError(
                f"{args.metadata}: no record below {args.root} is listed. A record_id is the path below that "
                f"folder without .hea."
            )
    build_from_arguments(items, args)


def list_items(root: Path, source: str, patient_from_folder: bool) -> list[Item]:
    """Every record below `root`, and every signal file without a header as a rejected one."""
    if not root.is_dir():
        raise StoreError(f"{root}: there is no such folder")
    listing = find_records(root)
    items = []
    for record in listing.records:
        patient_id = PurePosixPath(record.record_id).parent.name or None if patient_from_folder else None
        items.append(Item(source, record.record_id, str(record.path), record.digest, patient_id=patient_id))
    known = {item.record_id for item in items}
    for orphan in listing.orphans:
        record_id = str(PurePosixPath(orphan).with_suffix(""))
        items.append(
            Item(
                source,
                orphan if record_id in known else record_id,
                str(root / orphan),
                rejected="no header names this signal file. Restore its .hea file.",
                rejected_kind="without a header",
            )
        )
        known.add(record_id)
    return items


def join_table(items: Sequence[Item], table: RecordTable, only_listed: bool) -> list[Item]:
    """The items with what the table knows of them; what does not match is counted in a warning."""
    if table.ignored_columns:
        warn(f"{table.path}: columns that mean nothing here: {', '.join(table.ignored_columns)}")
    joined = []
    unlisted: list[str] = []
    for item in items:
        row = table.rows.get(item.record_id)
        if row is None:
            unlisted.append(item.record_id)
            if only_listed:
                continue
        joined.append(item if row is None else replace(item, **row))
    present = {item.record_id for item in items}
    without_record = [record_id for record_id in table.rows if record_id not in present]
    if unlisted:
        what = "left out" if only_listed else "kept with what their headers tell"
        warn(f"{len(unlisted):,} records are not in {table.path}; {what} (first: {unlisted[0]})")
    if without_record:
        warn(f"{len(without_record):,} rows of {table.path} have no record (first: {without_record[0]})")
    return joined


if __name__ == "__main__":
    sys.exit(main())
