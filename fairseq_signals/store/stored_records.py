"""Whole records of a record store, by their id or their place, as lossless as they were stored."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np
import pyarrow as pa

from fairseq_signals.ecg.record import Record, Subject
from fairseq_signals.errors import StoreError, did_you_mean
from fairseq_signals.store.codecs import FLAC, decode_flac
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import PathLike, open_shard, shard_codec

#: Columns that are read besides the signal.
_TELL = ("record_id", "fs", "patient_id", "age", "sex", "codes", "report", "attributes")


class StoredRecords:
    """The records of a store; shards are mapped into memory when they are first asked for.

    Args:
        store: the store, or its folder.

    Raises:
        StoreError: it is none, see `RecordStore`.
    """

    def __init__(self, store: RecordStore | PathLike) -> None:
        self.store = store if isinstance(store, RecordStore) else RecordStore(store)
        self._shards: dict[str, _Shard] = {}
        self._places: dict[str, list[tuple[str, str, int]]] | None = None  # record_id -> source, shard, row

    def read(self, shard: str, row: int) -> Record:
        """The record in a row (from 0) of a shard, with its patient, codes and report.

        Raises:
            StoreError: there is no such shard or row, or the signal is damaged.
        """
        if shard not in self._shards:
            if shard not in self.store.shards:
                raise StoreError(f"{self.store.root}: there is no shard {shard!r}")
            self._shards[shard] = _Shard(self.store.root / shard)
        return self._shards[shard].read(row)

    def find(self, record_id: str) -> tuple[str, int]:
        """Shard and row of the record with this id, or with this `<source>/<id>`.

        Raises:
            StoreError: there is none, or there are several, of different sources.
        """
        if self._places is None:
            self._places = {}
            table = self.store.metadata(("record_id", "source", "shard", "row"))
            for name, source, shard, row in zip(*(column.to_pylist() for column in table.columns)):
                self._places.setdefault(name, []).append((source, shard, row))
        root, found = self.store.root, self._places.get(record_id, [])
        if not found and "/" in record_id:
            wanted, _, name = record_id.partition("/")
            found = [place for place in self._places.get(name, []) if place[0] == wanted]
        if len(found) == 1:
            return found[0][1:]
        if found:
            sources = ", ".join(f"{place[0]}/{record_id}" for place in found)
            raise StoreError(f"{root}: there are several records {record_id!r}: name one of {sources}")
        raise StoreError(f"{root}: there is no record {record_id!r}{did_you_mean(record_id, self._places)}")


class _Shard:
    def __init__(self, path: Path) -> None:
        reader = open_shard(path)
        self.path, self.codec = path, shard_codec(reader)
        self.batches: list[pa.RecordBatch] = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        self.begins: list[int] = np.cumsum([0, *map(len, self.batches)]).tolist()

    def read(self, row: int) -> Record:
        if not 0 <= row < self.begins[-1]:
            raise StoreError(f"{self.path}: there is no row {row}, only {self.begins[-1]} rows")
        index = bisect_right(self.begins, row) - 1
        batch, i = self.batches[index], row - self.begins[index]
        leads = tuple(batch.column("leads")[i].as_py())
        n_samples = batch.column("n_samples")[i].as_py()
        stored = memoryview(batch.column("signal")[i].as_buffer())
        try:
            if self.codec == FLAC:
                signal = decode_flac(stored, len(leads), 0, n_samples)
            else:
                signal = np.frombuffer(stored, dtype="<i2").reshape(len(leads), n_samples)
        except (StoreError, ValueError) as e:
            raise StoreError(f"{self.path}: row {row}: {e}. Preprocess again with --overwrite.") from e
        scale = np.array(batch.column("scale")[i].as_py(), dtype=np.float64)
        tells = {name: batch.column(name)[i].as_py() for name in _TELL if name in batch.schema.names}
        other = tuple(tells.get("attributes") or ())  # shards may be older than that column
        subject = Subject(tells["age"], tells["sex"], tuple(tells["codes"]), tells["patient_id"], other)
        name, fs = tells["record_id"], float(tells["fs"])
        return Record(name, fs, leads, signal, scale, subject, report=tells["report"])
