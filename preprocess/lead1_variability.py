"""Lead-I ECGs with variability scenarios (Bernal-Romero and Ramirez-Cortes, 2024) -> record store.

    python preprocess/lead1_variability.py ROOT --dest STORE

ROOT has a folder a person with the recordings as WFDB records (subject_112/112_01.hea, ...), whose headers
say of which database they are, as `# ptbdb 19, Time and medical procedures, Supine`. A record's id is its
path; its attribute `recording` is the number among the person's recordings.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.errors import SignalError, StoreError
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.store.conversion import Item, iter_folder

SOURCE = "lead1_variability"
PTB = "ptbdb"  #: database whose persons have their numbers here, too, see `manifest.people.same_person`
_PERSON = re.compile(r"subject_\d+")
_ORIGIN = re.compile(r"(\w+) (\d+), (.+), ([^,]+)")


def list_records(args: argparse.Namespace) -> Iterator[Item]:
    """The records of every person."""
    for item in iter_folder(args.root, SOURCE):
        folder = PurePosixPath(item.record_id).parent.name
        if not _PERSON.fullmatch(folder):
            raise StoreError(
                f"{args.root}: record {item.record_id} is not in a folder subject_N, which is of one person"
            )
        if item.rejected:
            yield item
            continue
        found = _origin(Path(item.path), folder)
        number = ("recording", PurePosixPath(item.record_id).name.rpartition("_")[2])
        yield replace(item, **{**found, "attributes": (number, *found.get("attributes", ()))})


def _origin(header: Path, folder: str) -> dict[str, Any]:
    """Whose a record is, and under what circumstances it was taken, by its header."""
    try:
        comments = read_header(header).comments
    except SignalError:  # reading the record tells why
        return {"patient_id": folder}
    match = next(filter(None, map(_ORIGIN.fullmatch, comments)), None)
    if match is None:
        return {"patient_id": folder}
    database, number, scenario, posture = match.groups()
    person = f"ptb{int(number):03d}" if database == PTB else f"{database}-{number}"
    attributes = (("database", database), ("scenario", scenario), ("posture", posture))
    return {"patient_id": person, "attributes": attributes}


main = corpus_script(
    "lead-I variability database -> record store", "folder with subject_1, subject_2, ...", list_records
)

if __name__ == "__main__":
    sys.exit(main())
