"""PhysioNet/CinC Challenge 2011, 12 leads of a mobile phone with their quality -> record store.

    python preprocess/cinc2011.py ROOT --dest STORE

ROOT holds the records (1002603.hea, 1002603.dat, ...) and the lists RECORDS-acceptable and
RECORDS-unacceptable: the folder set-a of the challenge. A record's id is its name.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.ecg.lead_names import LeadNames
from fairseq_signals.errors import SignalError, StoreError
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.store.conversion import Item, iter_folder

SOURCE = "cinc2011"
LISTS = {"acceptable": "RECORDS-acceptable", "unacceptable": "RECORDS-unacceptable"}
INDETERMINATE = "indeterminate"  #: of a record in neither list
#: Of the signals where headers do not name them. Goldberger's equations hold in this order only.
ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def list_records(args: argparse.Namespace) -> list[Item]:
    """The records with their quality."""
    quality = read_quality(args.root)
    items = []
    for item in iter_folder(args.root, SOURCE):
        name = PurePosixPath(item.record_id).name
        label = quality.get(name, INDETERMINATE)
        items.append(replace(item, record_id=name, codes=(label,), attributes=(("quality", label),)))
    if args.lead_names is None and not any(_are_named(Path(item.path)) for item in items[:1]):
        args.lead_names = LeadNames(in_order=ORDER)
    absent = sorted(quality.keys() - {item.record_id for item in items})
    if absent:
        warn(f"{len(absent):,} records of the lists are not there (first: {absent[0]})")
    return items


def read_quality(root: Path) -> dict[str, str]:
    """The quality of each record that a list has.

    Raises:
        StoreError: a list is not there, or a record is in both.
    """
    quality: dict[str, str] = {}
    for label, name in LISTS.items():
        try:
            records = (root / name).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise StoreError(
                f"{root / name}: the list cannot be read ({why}). Download it to there, or take the records "
                f"without labels with wfdb_folder.py."
            ) from error
        for record in records:
            if quality.setdefault(record, label) != label:
                raise StoreError(f"{root / name}: record {record} is in {LISTS[quality[record]]} too")
    return quality


def _are_named(header: Path) -> bool:
    try:
        return any(signal.description for signal in read_header(header).signals)
    except SignalError:  # reading the record tells why
        return True


main = corpus_script(
    "PhysioNet/CinC Challenge 2011 -> record store",
    f"folder with the records, {' and '.join(LISTS.values())}",
    list_records,
)

if __name__ == "__main__":
    sys.exit(main())
