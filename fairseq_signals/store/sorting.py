"""A list of records of any length, sorted in an SQLite file and cut into chunks, one for each shard.

Memory does not grow with the number of records. A process that makes a shard is told where its chunk begins,
and reads it from the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

from fairseq_signals.errors import StoreError, cannot_write
from fairseq_signals.safety.text import visible
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.shards import going_on

#: What records are sorted by. Texts are bytes, as a path need not be UTF-8; `number` counts where all agree.
_KEY = "source, record_id, rejected, path, number"
_TABLE = f"CREATE TABLE items ({_KEY}, item, PRIMARY KEY ({_KEY})) WITHOUT ROWID"
RUN_IS_GONE = (
    "the run that this shard belongs to has ended, or its folder was removed. Run the same command again."
)
_FIELDS = [f.name for f in fields(Item)]


@dataclass(frozen=True)
class Chunk:
    """Where the records of one shard are.

    Attributes:
        path: the spool's file.
        begin: what the first record is sorted by.
        n_items: how many records.
        digest: of the records, as `Spool.fingerprint`.
    """

    path: str
    begin: tuple[Any, ...]
    n_items: int
    digest: str = ""

    def items(self) -> list[Item]:
        """The records, in their order.

        Raises:
            StoreError: the file is gone, because the run that wrote it has ended.
        """
        query = f"SELECT item FROM items WHERE ({_KEY}) >= (?, ?, ?, ?, ?) ORDER BY {_KEY} LIMIT ?"
        try:
            with closing(_open(self.path, "immutable")) as file:
                return [_from_json(row[0]) for row in file.execute(query, (*self.begin, self.n_items))]
        except sqlite3.OperationalError as e:
            raise StoreError(f"{self.path}: {e}: {RUN_IS_GONE}") from None

    def is_there(self) -> bool:
        """Whether the run that wrote the spool is still the one that builds the store."""
        return os.path.exists(self.path)


@dataclass
class Spool:
    """Records on disk, in the order of source and record id.

    Attributes:
        chunks: in that order.
        n_items: records in all.
        fingerprint: digest of the records, their headers and what else is known, not of where they lie.
    """

    chunks: list[Chunk] = field(default_factory=list)
    n_items: int = 0
    fingerprint: str = ""


def write_spool(items: Iterable[Item], path: Path, chunk_length: int) -> Spool:
    """Sort records into a file.

    Args:
        items: in any order, read once.
        path: the file, which is not there yet.
        chunk_length: records in a chunk.

    Raises:
        StoreError: two records have one name.
    """
    try:
        with closing(_open(path, "nolock")) as file:
            file.execute("PRAGMA journal_mode = OFF")  # what a killed run leaves is thrown away
            file.execute("PRAGMA synchronous = OFF")
            file.execute(_TABLE)
            file.execute("BEGIN")
            file.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", map(_row, items, count()))
            file.execute("COMMIT")
            return _chunks(file.execute(f"SELECT * FROM items ORDER BY {_KEY}"), path, chunk_length)
    except sqlite3.Error as e:
        with going_on():
            raise cannot_write(path, OSError(str(e))) from e


def _open(path: str | Path, how: str) -> sqlite3.Connection:
    """The file, without SQLite's locks: one process writes, then others read; file systems may have none."""
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?{how}=1", uri=True, isolation_level=None)


def _row(item: Item, number: int) -> tuple[bytes | int | str, ...]:
    if not item.record_id.isprintable():
        item = replace(item, record_id=visible(item.record_id))
    texts = (item.source, item.record_id, item.rejected or "", item.path)
    values = json.dumps([getattr(item, name) for name in _FIELDS])
    return (*(text.encode("utf-8", "surrogatepass") for text in texts), number, values)


def _from_json(text: str) -> Item:
    values = dict(zip(_FIELDS, json.loads(text)))
    if values["codes"] is not None:
        values["codes"] = tuple(values["codes"])
    if values["attributes"] is not None:
        values["attributes"] = tuple((name, text) for name, text in values["attributes"])
    return Item(**values)


def _chunks(rows: Iterator[Any], path: Path, chunk_length: int) -> Spool:
    """Where sorted records are, checking their names and taking their digest on the way."""
    spool, digest = Spool(), hashlib.blake2b(digest_size=16)
    begins: list[tuple[Any, ...]] = []
    digests: list[Any] = []
    before: Item | None = None
    for *key, text in rows:
        item = _from_json(text)
        if before is not None and before.key == item.key and before.rejected is item.rejected is None:
            raise StoreError(f"{before.path} and {item.path} would both be record {item.key}")
        before = item
        if spool.n_items % chunk_length == 0:
            begins.append(tuple(key))
            digests.append(hashlib.blake2b(digest_size=16))
        told = repr({**vars(item), "path": os.path.basename(item.path)}).encode()
        digest.update(told)
        digests[-1].update(told)
        spool.n_items += 1
    sizes = (min(chunk_length, spool.n_items - at) for at in range(0, spool.n_items, chunk_length))
    spool.chunks = [
        Chunk(str(path), begin, size, part.hexdigest()) for begin, size, part in zip(begins, sizes, digests)
    ]
    spool.fingerprint = digest.hexdigest()
    return spool
