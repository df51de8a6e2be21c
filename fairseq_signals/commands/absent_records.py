"""Records that the tables of a corpus list and that are not there, and sizes of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.errors import UNAVAILABLE, StoreError
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.record_table import RecordTable, join_table

NOT_DOWNLOADED = "not downloaded"  #: kind of rejection of a record that a table lists and the disk lacks


def not_downloaded(source: str, record_id: str, root: Path, file: str, table: str) -> Item:
    """A record that a table lists and that is not there, so that it is reported.

    Where the table is gone, too, so is the folder, as on a network drive: then it is not available.

    Args:
        source, record_id: as in `Item`.
        root: folder of the corpus.
        file: what is not there, as a path below `root`.
        table: name of the table that lists it.
    """
    reason, kind = f"{table} lists it, but {file} is not there", NOT_DOWNLOADED
    step = "Download it, or pass --downloaded-only."
    if not os.path.exists(os.path.join(root, table)):
        step, kind = f"Neither is {table} any more: is the folder gone?", UNAVAILABLE
    return Item(source, record_id, os.path.join(root, file), "", f"{reason}. {step}", kind)


def join_listed(
    items: Sequence[Item], table: RecordTable, source: str, root: Path, file_of: Callable[[str], str]
) -> list[Item]:
    """The records with what the table of their corpus tells, and those that it lists and that are not there.

    What does not match is warned of.

    Args:
        items: the records that are there.
        table: what is known of them, by record id.
        source, root: as of `not_downloaded`.
        file_of: from a record's id, where its file should be below `root`.
    """
    present = {item.record_id for item in items}
    lost = tuple(os.path.join(item.path, "") for item in items if item.rejected_kind == UNAVAILABLE)
    absent = [
        not_downloaded(source, name, root, file_of(name), table.path.name)
        for name in table.rows
        if name not in present
    ]
    absent = [
        replace(item, rejected="its folder cannot be listed", rejected_kind=UNAVAILABLE)
        if os.path.abspath(item.path).startswith(lost)
        else item
        for item in absent
    ]
    joined, remarks = join_table([*items, *absent], table)
    warn(*remarks)
    return joined


def absent_from_list(root: Path, source: str, present: Collection[str]) -> list[Item]:
    """The records that PhysioNet's list `RECORDS`, if there is one, names and that are not there.

    Args:
        root: folder of the corpus; each line of the list in it is a record's path, without suffix.
        source: name of the corpus.
        present: ids of the records that are there.

    Raises:
        StoreError: the list cannot be read.
    """
    path = root / "RECORDS"
    if not path.is_file():
        return []
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as e:
        raise StoreError(f"{path}: the list of records cannot be read ({e}). Download it again.") from e
    return [
        not_downloaded(source, name, root, f"{name}.hea", path.name)
        for name in dict.fromkeys(names)
        if name not in present
    ]


def without_absent(items: Iterable[Item]) -> Iterator[Item]:
    """The items that were downloaded; a warning tells how many were not."""
    n_absent, first = 0, ""
    for item in items:
        if item.rejected_kind == NOT_DOWNLOADED:
            n_absent, first = n_absent + 1, first or item.record_id
        else:
            yield item
    if n_absent:
        warn(f"{n_absent:,} records are in the tables and not on disk; left out (first: {first})")


def sizes(*paths: str) -> str:
    """The sizes of files ("-" for one that is not there), to notice changed input at little cost."""
    return " ".join(str(os.path.getsize(path)) if os.path.exists(path) else "-" for path in paths)
