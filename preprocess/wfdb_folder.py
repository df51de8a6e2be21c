"""Any folder of WFDB records -> record store.

    python preprocess/wfdb_folder.py ROOT --dest STORE --source NAME

Every header (.hea) below ROOT is a record, its id the path below ROOT. What the headers do not tell can come
from a table (--metadata); see preprocess/README.md for its columns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from fairseq_signals.commands.preprocess_folder import folder_parser, store_folder
from fairseq_signals.commands.store_arguments import run
from fairseq_signals.store.conversion import Item, iter_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = folder_parser("any folder of WFDB records -> record store").parse_args(argv)
    return run(preprocess, args)


def preprocess(args: argparse.Namespace) -> None:
    """List the records below the folder, join the table, and store them."""
    store_folder(args, list_items)


def list_items(args: argparse.Namespace) -> Iterator[Item]:
    """Every record below the folder."""
    return iter_folder(args.root, args.source, args.patient_from_folder)


if __name__ == "__main__":
    sys.exit(main())
