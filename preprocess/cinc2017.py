"""PhysioNet/CinC Challenge 2017, one lead of a hand-held device with a rhythm label -> record store.

    python preprocess/cinc2017.py ROOT --dest STORE

ROOT holds the records (A00001.hea, A00001.mat, ...), at any depth; REFERENCE-v3.csv or REFERENCE.csv is in
it or beside it. Of the whole release, that is the folder training/. A record's id is its name; the signal
`ECG` is lead I.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.absent_records import join_listed
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.ecg.lead_names import parse_lead_names
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.csv_table import read_lines
from fairseq_signals.store.record_table import RecordTable

SOURCE = "cinc2017"
TABLES = ("REFERENCE-v3.csv", "REFERENCE.csv")  # the later labels go first
#: What the labels of the challenge mean; they are the codes.
RHYTHMS = {"N": "normal", "A": "atrial fibrillation", "O": "other", "~": "noisy"}


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records with their labels."""
    root = Path(os.path.abspath(args.root))
    table = read_reference(find_reference(root))
    items = [
        replace(item, record_id=PurePosixPath(item.record_id).name) for item in iter_folder(root, SOURCE)
    ]
    below, place = table.path.parent, PurePosixPath(root.relative_to(table.path.parent))
    return join_listed(items, table, SOURCE, below, lambda name: str(place / f"{name}.hea"))


def find_reference(root: Path) -> Path:
    """The table of labels, in the folder or beside it."""
    places = [folder / name for name in TABLES for folder in (root, root.parent)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise StoreError(
            f"{root}: there is no {' or '.join(TABLES)}, which has the labels, in it or beside it. Download "
            f"it, or take the records without labels with wfdb_folder.py --lead-names ECG=I."
        )
    return found


def read_reference(path: Path) -> RecordTable:
    """The label of each record, by its name; a line is such as `A00001,N`.

    Raises:
        StoreError: a line is not like that, or a record is listed twice.
    """
    table = RecordTable(path)
    for number, cells in read_lines(path, StoreError):
        if len(cells) != 2 or cells[1] not in RHYTHMS:
            raise StoreError(
                f"{path}:{number}: expected a record and one of {', '.join(RHYTHMS)}, found {cells}"
            )
        if cells[0] in table.rows:
            raise StoreError(f"{path}:{number}: record {cells[0]} is listed already")
        table.rows[cells[0]] = {"codes": (cells[1],), "attributes": (("rhythm", RHYTHMS[cells[1]]),)}
    return table


main = corpus_script(
    "PhysioNet/CinC Challenge 2017 -> record store",
    f"folder with the records and {TABLES[0]}",
    list_records,
    partial=True,
    defaults={"lead_names": parse_lead_names("ECG=I")},
)

if __name__ == "__main__":
    sys.exit(main())
