"""A list of records of any length, sorted on disk and cut into chunks, one for each shard.

Memory does not grow with the number of records: they are sorted in runs that fit, and the runs are merged. A
process that makes a shard is told where its chunk lies, and reads it there.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fairseq_signals.data.rows import Item
from fairseq_signals.data.shards import cannot_write
from fairseq_signals.errors import StoreError

RUN_LENGTH = 5000  # records that are sorted in memory
_MERGE_WIDTH = 64  # runs that are merged at a time, each an open file


@dataclass(frozen=True)
class Chunk:
    """Where the records of one shard are.

    Attributes:
        path: the spool's file.
        offset, size: where in it, in bytes.
        n_items: how many records.
    """

    path: str
    offset: int
    size: int
    n_items: int

    def items(self) -> list[Item]:
        """The records, in their order.

        Raises:
            StoreError: the file is gone, because the run that wrote it has ended.
        """
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                return [_from_line(line) for line in f.read(self.size).splitlines()]
        except FileNotFoundError:
            raise StoreError(f"{self.path}: the run that this shard belongs to has ended") from None

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
        path: the file; others beside it, of which it is the beginning of the name, are made and removed.
        chunk_length: records in a chunk.

    Raises:
        StoreError: two records have one name.
    """
    runs: list[Path] = []
    n_runs = 0

    def write_run(entries: Iterable[_Entry]) -> None:
        nonlocal n_runs
        run = path.with_name(f"{path.name}.{n_runs}")
        n_runs += 1
        runs.append(run)
        try:
            with open(run, "wb") as f:
                for entry in entries:
                    f.write(b"%d %s" % (entry[-2], _to_line(entry[-1])))
        except OSError as e:
            raise cannot_write(run, e) from e

    def merge(sources: list[Path]) -> Iterator[_Entry]:
        with ExitStack() as stack:
            yield from heapq.merge(*(_read_run(stack.enter_context(open(run, "rb"))) for run in sources))

    try:
        entries: list[_Entry] = []
        for number, item in enumerate(items):
            entries.append(_entry(number, item))
            if len(entries) == RUN_LENGTH:
                write_run(sorted(entries))
                entries = []
        in_order: Iterator[_Entry] = iter(sorted(entries))
        while len(runs) > _MERGE_WIDTH:
            merged, runs = runs[:_MERGE_WIDTH], runs[_MERGE_WIDTH:]
            write_run(merge(merged))
            _remove(merged)
        if runs:
            in_order = heapq.merge(merge(runs), in_order)
        try:
            return _write_chunks((entry[-1] for entry in in_order), path, chunk_length)
        except OSError as e:
            raise cannot_write(path, e) from e
    finally:
        _remove(path.parent.glob(f"{path.name}.*"))


#: What records are sorted by, their number in the list where all else agrees, and the record.
_Entry = tuple[str, str, str, str, int, Item]
_FIELDS = [f.name for f in fields(Item)]


def _entry(number: int, item: Item) -> _Entry:
    return item.source, item.record_id, item.rejected or "", item.path, number, item


def _read_run(file: Any) -> Iterator[_Entry]:
    for line in file:
        number, _, text = line.partition(b" ")
        yield _entry(int(number), _from_line(text))


def _to_line(item: Item) -> bytes:
    """A record as a line of JSON: the values of its fields in their order."""
    return json.dumps([getattr(item, name) for name in _FIELDS]).encode() + b"\n"


def _from_line(line: bytes) -> Item:
    values = dict(zip(_FIELDS, json.loads(line)))
    if values["codes"] is not None:
        values["codes"] = tuple(values["codes"])
    if values["attributes"] is not None:
        values["attributes"] = tuple((name, text) for name, text in values["attributes"])
    return Item(**values)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _write_chunks(items: Iterator[Item], path: Path, chunk_length: int) -> Spool:
    """Write sorted records, checking their names and taking their digest on the way."""
    spool, digest = Spool(), hashlib.blake2b(digest_size=16)
    chunk: list[Item] = []
    before: Item | None = None

    def flush() -> None:
        data = b"".join(map(_to_line, chunk))
        spool.chunks.append(Chunk(str(path), file.tell(), file.write(data), len(chunk)))
        spool.n_items += len(chunk)
        chunk.clear()

    with open(path, "wb") as file:
        for item in items:
            if before is not None and before.key == item.key and before.rejected is item.rejected is None:
                raise StoreError(f"{before.path} and {item.path} would both be record {item.key}")
            before = item
            digest.update(repr({**vars(item), "path": os.path.basename(item.path)}).encode())
            chunk.append(item)
            if len(chunk) == chunk_length:
                flush()
        if chunk:
            flush()
    spool.fingerprint = digest.hexdigest()
    return spool
