"""A record store of rows that are at hand, and not in files of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from fairseq_signals.store.conversion import BuildOptions
from fairseq_signals.store.reading import STATE_FILE, read_state
from fairseq_signals.store.shards import (
    SCHEMA_VERSION,
    SHARD_PATTERN,
    StoreRow,
    shard_name,
    write_atomic,
    write_shard,
)


def write_store(rows: Iterable[StoreRow], dest: Path, options: BuildOptions) -> None:
    """Store rows, in their order. A store is complete when its state is written, after all shards.

    Args:
        rows: gone through once.
        dest: the folder; a store that is there is replaced.
        options: rate, resampler, codec and shard size, with which the rows were made and are kept.
    """
    dest.mkdir(exist_ok=True)
    for old in [dest / STATE_FILE, *dest.glob(SHARD_PATTERN)]:
        old.unlink(missing_ok=True)
    n_shards = n_rows = 0
    for chunk in _chunks(iter(rows), options.records_per_shard):
        n_rows += write_shard(dest / shard_name(n_shards), chunk, codec=options.codec)
        n_shards += 1
    told = {"fs": options.fs, "resampler": options.resampler, "codec": options.codec}
    state = {"schema": SCHEMA_VERSION, **told, "records": n_rows, "shards": n_shards, "complete": True}
    with write_atomic(dest / STATE_FILE) as file:
        file.write(json.dumps(state, indent=1, sort_keys=True).encode() + b"\n")


def is_complete(store: Path) -> bool:
    """Whether a store was written to its end."""
    path = store / STATE_FILE
    return path.is_file() and bool(read_state(path).get("complete"))


def _chunks(rows: Iterator[StoreRow], length: int) -> Iterator[Iterator[StoreRow]]:
    for row in rows:
        yield chain([row], islice(rows, length - 1))
