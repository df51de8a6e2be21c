"""ECG-ID, several recordings of lead I of each person -> record store.

    python preprocess/ecg_id.py ROOT --dest STORE

ROOT is the folder of the release (RECORDS, Person_01/, ...). A folder is a patient, and a record's id is its
path, such as Person_01/rec_1. The raw channel is stored, not the filtered one.
"""

from __future__ import annotations

import argparse
import re
import sys

from fairseq_signals.commands.absent_records import absent_from_list
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder

SOURCE = "ecg-id"
PERSON = re.compile(r"Person_\d+")


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records of every person."""
    items = list(iter_folder(args.root, SOURCE, patient_from_folder=True))
    strange = [item.record_id for item in items if not PERSON.fullmatch(item.patient_id or "")]
    if strange:
        raise StoreError(
            f"{args.root}: record {strange[0]} is not in a folder Person_NN, which would name its person. "
            f"Give the folder of the release, or use preprocess/wfdb_folder.py."
        )
    return items + absent_from_list(args.root, SOURCE, {item.record_id for item in items})


main = corpus_script(
    "ECG-ID -> record store",
    "folder of the release, with Person_01, Person_02, ...",
    list_records,
    partial=True,
)

if __name__ == "__main__":
    sys.exit(main())
