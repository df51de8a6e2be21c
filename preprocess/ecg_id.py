"""ECG-ID, several recordings of lead I of each person -> record store.

    python preprocess/ecg_id.py ROOT --dest STORE

ROOT is the folder of the release (RECORDS, Person_01/, ...). A folder is a patient, and a record's id is its
path, such as Person_01/rec_1. The raw channel is stored, not the filtered one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.commands.absent_records import absent_from_list, add_partial_argument, without_absent
from fairseq_signals.commands.store_arguments import add_store_arguments, build_from_arguments, run
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import list_folder

SOURCE = "ecg-id"
PERSON = re.compile(r"Person_\d+")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="ECG-ID -> record store")
    parser.add_argument("root", type=Path, help="folder of the release, with Person_01, Person_02, ...")
    add_partial_argument(parser)
    add_store_arguments(parser)
    return run(preprocess, parser.parse_args(argv))


def preprocess(args: argparse.Namespace) -> None:
    """List the records of every person, and store them."""
    items = list_folder(args.root, SOURCE, patient_from_folder=True)
    strange = [item.record_id for item in items if not PERSON.fullmatch(item.patient_id or "")]
    if strange:
        raise StoreError(
            f"{args.root}: record {strange[0]} is not in a folder Person_NN, which would name its person. "
            f"Give the folder of the release, or use preprocess/wfdb_folder.py."
        )
    items += absent_from_list(args.root, SOURCE, {item.record_id for item in items})
    build_from_arguments(without_absent(items) if args.downloaded_only else items, args)


if __name__ == "__main__":
    sys.exit(main())
