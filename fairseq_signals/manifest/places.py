"""Places in stores, as manifests name them: `<shard>#<row>:<start>`, and which records are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.errors import ManifestError, StoreError
from fairseq_signals.store.reading import RecordStore


def parse_path(path: str) -> tuple[str, int, int]:
    """Shard (relative to the root), row in it and first sample of a store manifest's path."""
    try:
        shard, place = path.rsplit("#", 1)
        row, start = place.split(":")
        return shard, int(row), int(start)
    except ValueError:
        raise ManifestError(f"path must be `<shard>#<row>:<start>`, but is {path!r} instead") from None


def parse_paths(paths: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The distinct shards of well-formed paths, and of each path (N, 3): which of them, row, first sample."""
    shards, places = _halves(pa.array(paths, pa.string()), "#")
    numbers = [half.cast(pa.int64()).to_numpy() for half in _halves(places, ":")]
    of_shards = shards.dictionary_encode()
    return of_shards.dictionary.to_pylist(), np.stack([of_shards.indices.to_numpy(), *numbers], axis=1)


def _halves(texts: pa.Array, mark: str) -> tuple[pa.Array, pa.Array]:
    """What is before and after the last mark of each text."""
    parts = pc.split_pattern(texts, mark, max_splits=1, reverse=True).flatten()
    return parts.take(pa.array(np.arange(0, len(parts), 2))), parts.take(
        pa.array(np.arange(1, len(parts), 2))
    )


class PlacesInStores:
    """The records at places in stores, of which each shard is read once.

    Args:
        missing_ok: nothing is in a shard that cannot be read; else that is an error.
    """

    def __init__(self, missing_ok: bool = False) -> None:
        self.missing_ok = missing_ok
        self._stores: dict[Path, RecordStore] = {}
        self._shards: dict[Path, tuple[pa.ChunkedArray, np.ndarray]] = {}

    def find(self, root: Path, paths: Sequence[str]) -> tuple[pa.ChunkedArray, np.ndarray]:
        """The record, `<source>/<record>`, at each of N paths, and its samples; null and 0 where none is.

        Raises:
            StoreError: a shard cannot be read.
        """
        names, places = parse_paths(paths)
        found = [self._shard(root / name) for name in names]
        ends = np.cumsum([0, *(len(lengths) for _, lengths in found)])
        number, row = places[:, 0], places[:, 1]
        there = row < np.diff(ends)[number]
        index = pa.array(ends[number] + row, mask=~there)
        chunks = [chunk for records, _ in found for chunk in records.chunks]
        records = pa.chunked_array(chunks, pa.string()).take(index)
        lengths = np.concatenate([*(lengths for _, lengths in found), [0]])
        return records, lengths[np.where(there, ends[number] + row, -1)]

    def _shard(self, path: Path) -> tuple[pa.ChunkedArray, np.ndarray]:
        if path not in self._shards:
            self._shards[path] = self._read(path)
        return self._shards[path]

    def _read(self, path: Path) -> tuple[pa.ChunkedArray, np.ndarray]:
        store, name = path.parent, path.name
        try:
            if store not in self._stores:
                self._stores[store] = RecordStore(store)
            if name in self._stores[store].shards:
                table = self._stores[store].metadata(("source", "record_id", "n_samples"), [name])
                records = pc.binary_join_element_wise(table["source"], table["record_id"], "/")
                return records, table["n_samples"].to_numpy()
        except StoreError:
            if not self.missing_ok:
                raise
        return pa.chunked_array([], pa.string()), np.zeros(0, np.int64)
