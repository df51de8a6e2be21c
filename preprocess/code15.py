"""CODE-15%, with its patients and six diagnoses -> record store.

    python preprocess/code15.py ROOT --dest STORE

ROOT holds exams.csv and the unzipped parts (exams_part0.hdf5 to exams_part17.hdf5, or some of them), also in
folders of their own. An exam's id is its exam_id.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fairseq_signals.commands.absent_records import NOT_DOWNLOADED
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.errors import UNAVAILABLE, UNREADABLE, StoreError, signal_error
from fairseq_signals.formats.registry import load_reader
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.csv_table import TableRow, read_rows

TABLE = "exams.csv"
SOURCE = "code15"
READER = "code15_hdf5"
#: The diagnoses of the table, which are the codes in the store.
LABELS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
COLUMNS = ("exam_id", "age", "is_male", *LABELS, "patient_id", "trace_file")
USED = ("exam_id", "age", "is_male", *LABELS, "patient_id")
NO_EXAM = 0  # in exam_id of a part: the last row of each part holds no exam


def list_records(args: argparse.Namespace) -> Iterator[Item]:
    """The exams: what is in the parts, joined to the table."""
    load_reader(READER)  # tells at once where h5py is missing
    return list_exams(args.root, find_parts(args.root))


class Part(NamedTuple):
    """One HDF5 file.

    Attributes:
        path: the file.
        exam_ids: (N,) ascending; empty where the file cannot be read.
        rows: (N,) where each of them is.
        listed: (N,) bool, whether the table has named it.
        digest: of the file.
        damage: why the file cannot be read, or None.
        damage_kind: that reason as a key of `fairseq_signals.errors.REASONS`.
    """

    path: Path
    exam_ids: np.ndarray
    rows: np.ndarray
    listed: np.ndarray
    digest: str = ""
    damage: str | None = None
    damage_kind: str = UNREADABLE

    def find(self, exam_id: int) -> int | None:
        """The position of an exam in these arrays."""
        position = int(np.searchsorted(self.exam_ids, exam_id))
        found = position < len(self.exam_ids) and self.exam_ids[position] == exam_id
        return position if found else None


def find_parts(root: Path) -> dict[str, Part]:
    """The parts below a folder, by file name.

    Raises:
        StoreError: there is no such folder, no part in it, or two parts have one name.
    """
    if not root.is_dir():
        raise StoreError(f"{root}: there is no such folder")
    parts: dict[str, Part] = {}
    for path in sorted(Path(os.path.abspath(root)).rglob("[!.]*.hdf5")):
        if path.name in parts:
            raise StoreError(f"{path} and {parts[path.name].path} have one name. Remove one of them.")
        parts[path.name] = _read_part(path)
    if not parts:
        raise StoreError(
            f"{root}: there is no part (exams_part0.hdf5, ...). Unzip those that were downloaded."
        )
    return parts


def _read_part(path: Path) -> Part:
    from fairseq_signals.formats.code15_hdf5 import read_contents

    nothing = np.zeros(0, np.int64)
    try:
        contents = read_contents(path)
    except StoreError as e:
        warn(str(e))
        kind = signal_error(e, path.name).kind
        told = str(e).replace(str(path), path.name), UNAVAILABLE if kind == UNAVAILABLE else UNREADABLE
        return Part(path, nothing, nothing, nothing.astype(bool), "", *told)
    if contents.exam_ids is None:
        raise StoreError(f"{path}: there is no dataset exam_id, so its exams are unknown. Download it again.")
    rows = np.argsort(contents.exam_ids, kind="stable")
    exam_ids = contents.exam_ids[rows]
    real = exam_ids != NO_EXAM
    return Part(path, exam_ids[real], rows[real], np.zeros(real.sum(), bool), contents.digest)


def list_exams(root: Path, parts: dict[str, Part]) -> Iterator[Item]:
    """Every exam of the table, then those that only the parts have.

    Raises:
        StoreError: the table is missing or malformed, or lists an exam twice.
    """
    path = root / TABLE
    for row in read_rows(path, COLUMNS):
        exam_id, name = row.number("exam_id"), row.text("trace_file")
        part = parts.get(name)
        position = None if part is None else part.find(int(exam_id))
        if part is None or position is None:
            yield _absent(root, exam_id, name, part)
            continue
        if part.listed[position]:
            raise StoreError(f"{row.where}: exam_id {exam_id} is listed already")
        part.listed[position] = True
        yield _item(part, position, **_fields(row))
    for part in parts.values():
        unlisted = np.flatnonzero(~part.listed).tolist()
        if unlisted:
            first = part.exam_ids[unlisted[0]]
            warn(
                f"{len(unlisted):,} exams of {part.path} are not in {TABLE}; kept without patient and "
                f"diagnoses (first: {first})"
            )
        yield from (_item(part, i) for i in unlisted)


def _item(part: Part, position: int, **fields: Any) -> Item:
    exam_id, row = str(part.exam_ids[position]), int(part.rows[position])
    return Item(SOURCE, exam_id, str(part.path), part.digest, reader=READER, index=row, **fields)


def _fields(row: TableRow) -> dict[str, Any]:
    """The fields of `Item` that a row of the table gives."""
    male = row.truth("is_male")
    return {
        "patient_id": row.patient("patient_id"),
        "age": row.age("age"),
        "sex": None if male is None else "male" if male else "female",
        "codes": tuple(label for label in LABELS if row.truth(label)),
        "attributes": row.attributes(USED),
    }


def _absent(root: Path, exam_id: str, name: str, part: Part | None) -> Item:
    """An exam that no part has, so that it is reported."""
    kind = NOT_DOWNLOADED
    if part is not None and part.damage is not None:
        reason, kind = part.damage, part.damage_kind
    elif part is not None:
        reason = f"{TABLE} says it is in {name}, but it is not. Download both again."
    else:
        zipped = f"{Path(name).stem}.zip"
        step = f"Unzip {zipped}" if (root / zipped).is_file() else "Download it"
        reason = f"{TABLE} says it is in {name}, which is not there. {step}, or pass --downloaded-only."
    return Item(SOURCE, exam_id, str(root / name), rejected=reason, rejected_kind=kind)


main = corpus_script(
    "CODE-15% -> record store", f"folder with {TABLE} and the parts (.hdf5)", list_records, partial=True
)

if __name__ == "__main__":
    sys.exit(main())
