"""What the command lines for any folder share, whatever the format of its files."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable

from fairseq_signals.commands.store_arguments import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.record_table import join_table, read_record_table


def folder_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every script that takes any folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", type=Path, help="folder with the records, at any depth")
    parser.add_argument("--source", required=True, help="name of the corpus, as `source` in the store")
    parser.add_argument(
        "--metadata",
        type=Path,
        help="CSV with the column record_id and any of patient_id, age, sex, codes, report, source",
    )
    parser.add_argument(
        "--only-listed", action="store_true", help="leave out records that the metadata table does not list"
    )
    parser.add_argument(
        "--patient-from-folder", action="store_true", help="the folder a record lies in names the patient"
    )
    add_store_arguments(parser)
    return parser


def preprocess_files(
    argv: Sequence[str] | None,
    description: str,
    suffixes: Sequence[str],
    reader: str,
    accept: Callable[[bytes], bool] | None = None,
) -> int:
    """The whole of a script for files of one format that are one record each; returns its exit code.

    Args:
        argv: the command line.
        description: of the script.
        suffixes: of the files, see `fairseq_signals.store.conversion.iter_folder`.
        reader: what reads them.
        accept: tells by its first bytes whether a file of another name is one too.
    """

    def list_items(args: argparse.Namespace) -> Iterable[Item]:
        return iter_folder(args.root, args.source, args.patient_from_folder, reader, suffixes, accept)

    args = folder_parser(description).parse_args(argv)
    return run(lambda args: store_folder(args, list_items), args)


def store_folder(
    args: argparse.Namespace, list_items: Callable[[argparse.Namespace], Iterable[Item]]
) -> None:
    """List the records below a folder, join the table, and store them.

    Without a table, memory does not grow with the number of records; with one, all are held at once.
    """
    if args.only_listed and args.metadata is None:
        raise StoreError("--only-listed needs --metadata, the table that lists the records")
    items = list_items(args)
    if args.metadata is not None:
        items, remarks = join_table(list(items), read_record_table(args.metadata), args.only_listed)
        for remark in remarks:
            warn(remark)
        if not items:
            raise StoreError(
                f"{args.metadata}: no record below {args.root} is listed. A record_id is the path below that "
                f"folder without the suffix."
            )
    build_from_arguments(items, args)
