"""Places in stores, as manifests name them: `<shard>#<row>:<start>`, and which records are there."""

from __future__ import annotations

import os
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
    """The records at places in stores, of which each is read once.

    Args:
        missing_ok: nothing is in a store that cannot be read; else that is an error.
    """

    def __init__(self, missing_ok: bool = False) -> None:
        self.missing_ok = missing_ok
        self._records: dict[Path, dict[str, tuple[pa.Array, np.ndarray]]] = {}

    def find(self, root: Path, paths: Sequence[str]) -> tuple[pa.ChunkedArray, np.ndarray]:
        """The record, `<source>/<record>`, at each of N paths, and its samples; null and 0 where none is.

        Raises:
            StoreError: a store cannot be read.
        """
        names, places = parse_paths(paths)
        found = [self._shard(root / folder, name) for folder, name in map(os.path.split, names)]
        ends = np.cumsum([0, *(len(lengths) for _, lengths in found)])
        number, row = places[:, 0], places[:, 1]
        there = row < np.diff(ends)[number]
        index = pa.array(ends[number] + row, mask=~there)
        records = pa.chunked_array([records for records, _ in found], pa.string()).take(index)
        lengths = np.concatenate([*(lengths for _, lengths in found), [0]])
        return records, lengths[np.where(there, ends[number] + row, -1)]

    def _shard(self, store: Path, name: str) -> tuple[pa.Array, np.ndarray]:
        if store not in self._records:
            self._records[store] = self._read(store)
        return self._records[store].get(name, (pa.array([], pa.string()), np.zeros(0, np.int64)))

    def _read(self, store: Path) -> dict[str, tuple[pa.Array, np.ndarray]]:
        try:
            table = RecordStore(store).metadata(("source", "record_id", "n_samples", "shard", "row"))
        except StoreError:
            if self.missing_ok:
                return {}
            raise
        records = pc.binary_join_element_wise(table["source"], table["record_id"], "/").combine_chunks()
        begins = np.flatnonzero(table["row"].to_numpy() == 0)  # rows are in order
        shards = table["shard"].take(pa.array(begins)).to_pylist()
        ends = [*begins[1:], len(table)]
        lengths = table["n_samples"].to_numpy()
        return {
            shard: (records.slice(begin, end - begin), lengths[begin:end])
            for shard, begin, end in zip(shards, begins.tolist(), map(int, ends))
        }
