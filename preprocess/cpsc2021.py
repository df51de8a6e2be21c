"""CPSC 2021, two leads of people with and without paroxysmal atrial fibrillation -> record store.

    python preprocess/cpsc2021.py ROOT --dest STORE

ROOT holds the records (data_0_1.hea, .dat, .atr, ...), at any depth. A record's id is its name, whose
first number is the person.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.errors import SignalError, StoreError
from fairseq_signals.formats.wfdb_annotations import read_rhythms
from fairseq_signals.formats.wfdb_header import Header, read_header
from fairseq_signals.store.conversion import Item, iter_folder

SOURCE = "cpsc2021"
DIAGNOSES = ("non atrial fibrillation", "persistent atrial fibrillation", "paroxysmal atrial fibrillation")
FIBRILLATION = ("AFIB", "AFL")  #: rhythms that annotations give; any other one ends them
EPISODES = "fibrillation_s"  #: attribute: begin and end of each episode, in seconds
_NAME = re.compile(r"data_(\d+)_\d+")


def list_records(args: argparse.Namespace) -> Iterator[Item]:
    """The records with person, diagnosis and the episodes of fibrillation."""
    for item in iter_folder(args.root, SOURCE):
        name = PurePosixPath(item.record_id).name
        match = _NAME.fullmatch(name)
        if match is None and not item.rejected:
            raise StoreError(
                f"{args.root}: the record {item.record_id} is not called data_PERSON_NUMBER. Give the folder "
                f"of the release, or use preprocess/wfdb_folder.py."
            )
        item = replace(item, record_id=name)
        yield item if item.rejected or match is None else _labelled(item, match[1])


def _labelled(item: Item, person: str) -> Item:
    item = replace(item, patient_id=person)
    try:
        header = read_header(Path(item.path))
        codes = tuple(text for text in header.comments if text in DIAGNOSES)
        episodes = _episodes(Path(item.path).with_suffix(".atr"), header)
    except SignalError as error:
        return replace(item, rejected=str(error), rejected_kind=error.kind)
    return replace(item, codes=codes, attributes=((EPISODES, episodes),) if episodes else None)


def _episodes(path: Path, header: Header) -> str:
    """When each episode of fibrillation begins and ends, such as "12.5-40 61-80.2"; "" without any."""
    if not path.is_file():
        return ""
    changes = read_rhythms(path)
    ends = [sample for sample, _ in changes[1:]] + [header.n_samples or 0]
    times = (
        f"{begin / header.fs:g}-{end / header.fs:g}"
        for (begin, rhythm), end in zip(changes, ends)
        if rhythm in FIBRILLATION
    )
    return " ".join(times)


main = corpus_script("CPSC 2021 -> record store", "folder with the records, at any depth", list_records)

if __name__ == "__main__":
    sys.exit(main())
