"""Chapman-Shaoxing and Ningbo, as PhysioNet publishes them in one corpus ("ecg-arrhythmia") -> record store.

    python preprocess/chapman.py ROOT --dest STORE

ROOT is the folder of the release: ConditionNames_SNOMED-CT.csv, WFDBRecords/01/010/JS00001.hea and so on. A
record's id is its file name. Source, id and codes are those of the same recording in PhysioNet/CinC 2021.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.errors import SignalError, StoreError
from fairseq_signals.formats.wfdb_comments import parse_comments
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.csv_table import read_rows

FOLDER = "WFDBRecords"
CONDITIONS = "ConditionNames_SNOMED-CT.csv"
LAST_OF_CHAPMAN = 10646  # JS00001 to JS10646 were recorded in Shaoxing, the others in Ningbo
NAME = re.compile(r"JS(\d{5})")


def list_records(args: argparse.Namespace) -> Iterator[Item]:
    """The records of the folder, with their conditions by name."""
    folder = args.root / FOLDER
    if args.root.is_dir() and not folder.is_dir():
        raise StoreError(f"{args.root}: there is no folder {FOLDER} in it. Give the folder of the release.")
    items = name_records(iter_folder(folder, ""))
    return name_conditions(items, read_conditions(args.root / CONDITIONS))


def name_records(items: Iterable[Item]) -> Iterator[Item]:
    """The records under their file names and the names of their two sources in PhysioNet/CinC 2021.

    Raises:
        StoreError: a record has a name of another corpus.
    """
    for item in items:
        name = PurePosixPath(item.record_id).name
        match = NAME.fullmatch(PurePosixPath(name).stem)
        if match is None:
            raise StoreError(
                f"{item.path}: records of this corpus are named JS and five digits. Take this one "
                f"out, or use preprocess/wfdb_folder.py."
            )
        source = "chapman_shaoxing" if int(match[1]) <= LAST_OF_CHAPMAN else "ningbo"
        yield replace(item, source=source, record_id=name)


def read_conditions(path: Path) -> dict[str, str]:
    """Acronym of each SNOMED CT code that the table of the release names; none where it is not there.

    Raises:
        StoreError: the table is malformed.
    """
    if not path.is_file():
        warn(f"{path} is not there; codes are stored without their acronyms")
        return {}
    rows = read_rows(path, ("Acronym Name", "Full Name", "Snomed_CT"))
    return {row.cells["Snomed_CT"]: row.cells["Acronym Name"] for row in rows}


def name_conditions(items: Iterable[Item], acronyms: Mapping[str, str]) -> Iterator[Item]:
    """The records with the acronyms of their codes, where these have one, among their attributes."""
    for item in items:
        try:
            subject = parse_comments(read_header(Path(item.path)).comments)
        except SignalError:
            yield item  # reading it tells why
            continue
        known = "|".join(acronyms[code] for code in subject.codes if acronyms.get(code))
        attributes = (*subject.other, *((("acronyms", known),) if known else ()))
        yield replace(item, attributes=attributes or None)


main = corpus_script(
    "Chapman-Shaoxing and Ningbo (ecg-arrhythmia) -> record store",
    f"folder of the release, with {FOLDER}",
    list_records,
)

if __name__ == "__main__":
    sys.exit(main())
