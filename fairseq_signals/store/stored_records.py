"""Whole records of a record store, by their id or their place, as lossless as they were stored."""

from __future__ import annotations

import numpy as np

from fairseq_signals.ecg.record import Record, Subject
from fairseq_signals.errors import StoreError, did_you_mean
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import AMPLITUDE_FACTOR, SCHEMA, PathLike

#: Columns that are read besides the signal.
_TELL = tuple(name for name in SCHEMA.names if name != "signal")


class StoredRecords:
    """The records of a store; shards are mapped into memory when they are first asked for.

    Args:
        store: the store, or its folder.

    Raises:
        StoreError: it is none, see `RecordStore`.
    """

    def __init__(self, store: RecordStore | PathLike) -> None:
        self.store = store if isinstance(store, RecordStore) else RecordStore(store)
        self._places: dict[str, list[tuple[str, str, int]]] | None = None  # record_id -> source, shard, row

    def read(self, shard: str, row: int, record_id: str | None = None) -> Record:
        """The record in a row (from 0) of a shard, with its patient, codes and report.

        Args:
            record_id: its id, or `<source>/<id>`, which must be that of the record; None: any.

        Raises:
            StoreError: there is no such shard or row, it has another record, or the signal is damaged.
        """
        if shard not in self.store.shards:
            raise StoreError(f"{self.store.root}: there is no shard {shard!r}")
        batch, i = self.store.open(shard).find(row, step="")
        stored = [name for name in _TELL if name in batch.table.schema.names]  # a shard may be old
        tells = {name: batch.table.column(name)[i].as_py() for name in stored}
        name = f"{tells['source']}/{tells['record_id']}"
        if record_id not in (None, tells["record_id"], name):
            raise StoreError(
                f"{self.store.root / shard}: row {row} is record {name}, not {record_id}: the store was "
                "built anew meanwhile. Run the same command again."
            )
        leads, fs, scale = tuple(tells["leads"]), float(tells["fs"]), np.array(tells["scale"], np.float64)
        try:
            signal = batch.samples(i, len(leads), 0, tells["n_samples"])
        except (StoreError, ValueError) as e:
            path = self.store.root / shard
            raise StoreError(f"{path}: row {row}: {e}. Preprocess again with --overwrite.") from e
        other = dict(tells.get("attributes") or ())
        factor = float(other.pop(AMPLITUDE_FACTOR, 1.0))
        subject = Subject(
            tells["age"], tells["sex"], tuple(tells["codes"]), tells["patient_id"], tuple(other.items())
        )
        given = tells.get("offset")
        offset = None if given is None else np.array(given, np.float64)
        known = {"report": tells["report"], "offset": offset, "amplitude_factor": factor}
        return Record(tells["record_id"], fs, leads, signal, scale, subject, **known)

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
