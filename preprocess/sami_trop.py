"""SaMi-Trop, one exam of each of 1 631 people with Chagas disease -> record store.

    python preprocess/sami_trop.py ROOT --dest STORE

ROOT holds exams.csv and exams.hdf5 (unzipped), with the same exams in the same order. An exam's id is its
exam_id.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.errors import StoreError
from fairseq_signals.formats.registry import load_reader
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.csv_table import read_rows

TABLE = "exams.csv"
SIGNALS = "exams.hdf5"
SOURCE = "sami-trop"
READER = "sami_trop_hdf5"
SEX = {True: "male", False: "female", None: None}  # of is_male
USED = ("exam_id", "age", "is_male")


def list_records(args: argparse.Namespace) -> list[Item]:
    """The exams: the table, joined to the rows of the signals."""
    load_reader(READER)  # tells at once where h5py is missing
    return list(list_exams(args.root))


def list_exams(root: Path) -> Iterator[Item]:
    """Every exam.

    Raises:
        StoreError: a file is missing or malformed, or the two do not have the same exams.
    """
    from fairseq_signals.formats.code15_hdf5 import read_contents

    path = Path(os.path.abspath(root / SIGNALS))
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file. Unzip exams.zip of the release into this folder.")
    contents = read_contents(path)
    named = None if contents.exam_ids is None else [str(exam_id) for exam_id in contents.exam_ids.tolist()]
    n_rows = 0
    for n_rows, row in enumerate(read_rows(root / TABLE, USED), start=1):
        exam_id = row.number("exam_id")
        if named is not None and named[n_rows - 1 : n_rows] != [exam_id]:
            raise StoreError(
                f"{row.where}: exam {exam_id} is not row {n_rows} of {SIGNALS}. Download both again."
            )
        yield Item(
            SOURCE,
            exam_id,
            str(path),
            contents.digest,
            age=row.age("age"),
            sex=SEX[row.truth("is_male")],
            codes=(),
            attributes=row.attributes(USED),
            reader=READER,
            index=n_rows - 1,
        )
    if n_rows != contents.n_exams:
        raise StoreError(
            f"{root / TABLE}: {n_rows:,} exams are listed, but {SIGNALS} has {contents.n_exams:,}, so it is "
            f"not known which is which. Download both again."
        )


main = corpus_script("SaMi-Trop -> record store", f"folder with {TABLE} and {SIGNALS}", list_records)

if __name__ == "__main__":
    sys.exit(main())
