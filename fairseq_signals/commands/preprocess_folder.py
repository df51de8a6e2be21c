"""The command lines in preprocess/: for a corpus with its tables, and for any folder of one format."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fairseq_signals.commands.absent_records import without_absent
from fairseq_signals.commands.arguments import some_path
from fairseq_signals.commands.store_arguments import add_store_arguments, build_from_arguments, run, warn
from fairseq_signals.errors import StoreError
from fairseq_signals.formats.detect import SAY_LITTLE
from fairseq_signals.store.conversion import Item, iter_folder
from fairseq_signals.store.record_table import join_table, read_record_table

_DOWNLOADED_ONLY = (
    "leave out records that the tables list and the disk lacks; otherwise each is in rejected.tsv"
)


def corpus_script(
    description: str,
    root: str,
    list_items: Callable[[argparse.Namespace], Iterable[Item]],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    partial: bool = False,
    defaults: Mapping[str, Any] | None = None,
    rate: str | None = None,
) -> Callable[..., int]:
    """The `main` of a script: it takes the command line (by default that of the process), stores the records
    and returns the exit code, 1 after an error about the input and 130 when interrupted.

    Args:
        description: of the script.
        root: what its argument ROOT is.
        list_items: the records, from the arguments; where it is a generator, memory need not grow with them.
        options: further options, and what argparse is told of each.
        partial: the corpus may list more than was downloaded, so that there is `--downloaded-only`.
        defaults: of the options that all scripts have, where the corpus has its own.
        rate: option of the sampling rate of files that do not say it; None: they say it.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("root", type=some_path, help=root)
        for name, what in (options or {}).items():
            parser.add_argument(name, **what)
        if partial:
            parser.add_argument("--downloaded-only", action="store_true", help=_DOWNLOADED_ONLY)
        add_store_arguments(parser, rate)
        parser.set_defaults(**(defaults or {}))
        args = parser.parse_args(argv)

        def store(args: argparse.Namespace) -> None:
            items = list_items(args)
            build_from_arguments(without_absent(items) if partial and args.downloaded_only else items, args)

        return run(store, args)

    return main


def folder_script(description: str, reader: str) -> Callable[..., int]:
    """The `main` of a script for any folder of files of one format, see `corpus_script`.

    Args:
        description: of the script.
        reader: what reads the files, see `fairseq_signals.formats.registry`.
    """
    options: dict[str, dict[str, Any]] = {
        "--source": {"help": "name of the corpus, as `source` in the store (default: that of the folder)"},
        "--metadata": {
            "type": some_path,
            "help": "CSV with the column record_id and any of patient_id, age, sex, codes, report, source",
        },
        "--only-listed": {
            "action": "store_true",
            "help": "leave out records that the metadata table does not list",
        },
        "--patient-from-folder": {
            "action": "store_true",
            "help": "the folder a record lies in names the patient",
        },
    }

    def list_items(args: argparse.Namespace) -> Iterable[Item]:
        source = args.source or args.root.resolve().name
        items = iter_folder(args.root, source, args.patient_from_folder, reader)
        if args.metadata is not None:
            return _joined(items, args)
        if args.only_listed:
            raise StoreError("--only-listed needs --metadata, the table that lists the records")
        return items

    rate = "--input-fs" if reader in SAY_LITTLE else None
    return corpus_script(description, "folder with the records, at any depth", list_items, options, rate=rate)


def _joined(items: Iterable[Item], args: argparse.Namespace) -> list[Item]:
    """The records with what the table knows of them, all held at once."""
    joined, remarks = join_table(list(items), read_record_table(args.metadata), args.only_listed)
    warn(*remarks)
    if not joined:
        raise StoreError(
            f"{args.metadata}: no record below {args.root} is listed. A record_id is the path below that "
            f"folder without the suffix."
        )
    return joined
