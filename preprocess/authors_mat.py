"""Folders that were preprocessed by the authors' scripts (one .mat file a segment) -> record store.

    python preprocess/authors_mat.py ROOT --dest STORE --source NAME

The segments <record>_0.mat, <record>_1.mat, ... become one record again. Manifests of the authors' scripts
can be used without this; a store takes a quarter of the space and is read faster.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fairseq_signals.data.build_cli import run
from fairseq_signals.data.folder_cli import folder_parser, store_folder
from fairseq_signals.data.rows import Item, iter_items_of_files
from fairseq_signals.ecg.readers.authors_mat import SEGMENT_NAME

SUFFIXES = (".mat",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = folder_parser("folders preprocessed by the authors' scripts -> record store").parse_args(argv)
    return run(preprocess, args)


def preprocess(args: argparse.Namespace) -> None:
    """List the files below the folder as records, join the table, and store them."""
    store_folder(args, list_records)


def list_records(args: argparse.Namespace) -> Iterator[Item]:
    """One item a record: its first segment, or the whole of it."""
    files = iter_items_of_files(args.root, args.source, SUFFIXES, "authors_mat", args.patient_from_folder)
    for _, items in itertools.groupby(files, key=lambda item: Path(item.path).parent):
        yield from join_segments(items)


def join_segments(items: Iterable[Item]) -> Iterator[Item]:
    """The records of one folder, out of its files.

    A record is its segments from 0 up to the last before a number that is missing; those after are rejected.
    Where there is no segment 0, a number at the end of a name is part of it.
    """
    segments: dict[str, dict[int, Item]] = {}
    for item in items:
        match = SEGMENT_NAME.fullmatch(Path(item.path).name)
        if match is None:
            yield item
        else:
            segments.setdefault(match[1], {})[int(match[2])] = item
    for name, numbered in segments.items():
        if 0 not in numbered:
            yield from numbered.values()
            continue
        n_joined = next(k for k in itertools.count() if k not in numbered)
        first = numbered[0]
        digests = "".join(numbered[k].digest for k in range(n_joined))
        digest = hashlib.blake2b(digests.encode(), digest_size=16).hexdigest()
        record_id = PurePosixPath(first.record_id).with_name(name).as_posix()
        yield replace(first, record_id=record_id, digest=digest)
        for k in sorted(k for k in numbered if k > n_joined):
            yield replace(
                numbered[k],
                rejected=f"segment {n_joined} of {name} is missing before it. Preprocess the record again.",
                rejected_kind="after a missing segment",
            )


if __name__ == "__main__":
    sys.exit(main())
