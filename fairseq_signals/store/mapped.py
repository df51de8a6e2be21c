"""A shard of a record store as it lies in the memory map: its record batches and what they hold."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.ecg.leads import LEADS, N_LEADS
from fairseq_signals.errors import StoreError
from fairseq_signals.store.codecs import FLAC, decode_flac
from fairseq_signals.store.damage import damaged, record_batches, require_rows
from fairseq_signals.store.shards import open_shard, shard_codec


class Shard:
    """An opened shard: what it holds stays in the memory map until it is read."""

    def __init__(self, path: Path) -> None:
        reader = open_shard(path)
        codec = shard_codec(reader)
        self.path = path
        try:
            self.batches = [RecordBatch(batch, codec) for batch, _ in record_batches(reader, path)]
        except (ValueError, TypeError, OverflowError) as e:
            raise e if isinstance(e, StoreError) else damaged(path, e) from e
        self.begins: list[int] = np.cumsum([0, *(len(batch.n_samples) for batch in self.batches)]).tolist()
        self.n_rows = self.begins.pop()

    @cached_property
    def present(self) -> np.ndarray:
        """(rows, 12) bool, True where a record has the lead."""
        return np.concatenate([batch.present for batch in self.batches])

    def find(
        self, row: int, step: str = ". Rebuild the manifest from this store."
    ) -> tuple[RecordBatch, int]:
        """The record batch of a row, and the row's place in it, or an error that ends with `step`."""
        if not 0 <= row < self.n_rows:
            raise StoreError(f"{self.path}: there is no row {row}, only {self.n_rows} rows{step}")
        i = bisect_right(self.begins, row) - 1
        return self.batches[i], row - self.begins[i]


class RecordBatch:
    """A record batch: views of its columns, one entry a record or a lead.

    What has one number a record is a `memoryview`, which is quicker to index than an array.
    """

    def __init__(self, batch: pa.RecordBatch, codec: str) -> None:
        signal, n_samples, leads, scale = (
            batch.column(batch.schema.get_field_index(name))
            for name in ("signal", "n_samples", "leads", "scale")
        )
        _, offsets, data = signal.buffers()
        self.table, self.codec = batch, codec
        self.offsets = memoryview(offsets).cast("q")[signal.offset :][: len(batch) + 1]
        self.data = memoryview(data or b"")
        self.stored = np.frombuffer(self.data, dtype="<i2") if codec != FLAC else None
        self.n_samples = memoryview(n_samples.to_numpy())
        # where the leads of each record, and those of the one after the last, begin
        self.lead_begin = memoryview(leads.offsets.to_numpy().astype(np.int64))
        positions = pc.index_in(leads.values, value_set=pa.array(LEADS)).fill_null(-1)
        self.lead_positions = positions.to_numpy().astype(np.int8)
        require_rows(
            batch, self.lead_positions, np.array(self.offsets), np.array(self.lead_begin), codec == FLAC
        )
        self.scale = scale.values.to_numpy().astype(np.float32)[:, None]
        place = batch.schema.get_field_index("offset")  # -1 where the shard is older
        offsets = None if place < 0 else batch.column(place)
        self._offsets = None if offsets is None or offsets.null_count == len(batch) else offsets

    @property
    def present(self) -> np.ndarray:
        """(rows, 12) bool, True where a record has the lead."""
        present = np.zeros((len(self.n_samples), N_LEADS), dtype=bool)
        counts = np.diff(np.asarray(self.lead_begin))
        first, last = self.lead_begin[0], self.lead_begin[-1]
        present[np.repeat(np.arange(len(counts)), counts), self.lead_positions[first:last]] = True
        return present

    def offset(self, i: int) -> np.ndarray | None:
        """Millivolt of the stored value 0 of each lead of record `i`, (L, 1) float32; None: 0."""
        if self._offsets is None or not self._offsets[i].is_valid:
            return None
        return np.array(self._offsets[i].as_py(), np.float32)[:, None]

    def samples(self, i: int, n_leads: int, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop` of record `i` as stored, (L, stop - start) int16."""
        begin, end = self.offsets[i], self.offsets[i + 1]  # in bytes
        if self.stored is None:
            return decode_flac(self.data[begin:end], n_leads, start, stop)
        return self.stored[begin // 2 : end // 2].reshape(n_leads, -1)[:, start:stop]
