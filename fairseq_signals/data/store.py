"""The record store: a folder of shards, read by memory map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.data.shards import (
    SHARD_PATTERN,
    LeadFault,
    PathLike,
    Rejection,
    ShardNotes,
    StoreRow,
    open_shard,
    write_shard,
)
from fairseq_signals.ecg.leads import LEADS, N_LEADS
from fairseq_signals.errors import StoreError

__all__ = ["LeadFault", "RecordStore", "Rejection", "ShardNotes", "StoreRow", "write_shard"]

#: What the store was made from and with, and whether it is complete.
STATE_FILE = "store.json"


class RecordStore:
    """A record store, read lazily: shards are mapped when first used, anew in each process.

    Args:
        root: the folder written by a script in preprocess/.

    Raises:
        StoreError: no such folder, no shard in it, or preprocessing has not finished.
    """

    def __init__(self, root: PathLike) -> None:
        self.root = Path(root)
        self.shards = self._find_shards()
        self._open: dict[str, _Shard] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": {}}  # memory maps belong to one process

    def __len__(self) -> int:
        return sum(len(self._shard(name).offsets) for name in self.shards)

    def metadata(self) -> pa.Table:
        """All columns but `signal`, and where each record is: `shard` (file name) and `row` (int64)."""
        tables = []
        for name in self.shards:
            table = self._shard(name).table.replace_schema_metadata(None)
            n = len(table)
            table = table.append_column("shard", pa.array([name] * n, type=pa.string()))
            tables.append(table.append_column("row", pa.array(np.arange(n), type=pa.int64())))
        return pa.concat_tables(tables)

    def n_samples(self, shard: str, row: int) -> int:
        """Samples per lead of a record."""
        return int(self._row(shard, row).n_samples[row])

    def read(
        self, shard: str, row: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A stretch of a record in millivolt, absent leads zero.

        Args:
            shard: file name of the shard.
            row: 0-based row in the shard.
            start: first sample.
            n_samples: how many; None for all up to the end.

        Returns:
            signal: (12, n_samples) float32, mV.
            present: (12,) bool, True where the record has the lead.
        """
        opened = self._row(shard, row)
        total = int(opened.n_samples[row])
        stop = total if n_samples is None else start + n_samples
        if not 0 <= start <= stop <= total:
            raise StoreError(
                f"{opened.path}: row {row} has {total} samples, but {start} to {stop} were asked for. "
                f"Rebuild the manifest from this store."
            )
        stored, leads, scale = opened.signal(row)
        signal = np.multiply(stored[:, start:stop], scale[:, None], dtype=np.float32)
        present = np.zeros(N_LEADS, dtype=bool)
        present[leads] = True
        if len(leads) == N_LEADS:
            return signal, present
        padded = np.zeros((N_LEADS, stop - start), dtype=np.float32)
        padded[leads] = signal
        return padded, present

    def _row(self, shard: str, row: int) -> _Shard:
        opened = self._shard(shard)
        if not 0 <= row < len(opened.offsets):
            raise StoreError(
                f"{opened.path}: there is no row {row}, only {len(opened.offsets)} rows. "
                f"Rebuild the manifest from this store."
            )
        return opened

    def _shard(self, name: str) -> _Shard:
        if name not in self._open:
            self._open[name] = _Shard(self.root / name)
        return self._open[name]

    def _find_shards(self) -> list[str]:
        if not self.root.is_dir():
            raise StoreError(
                f"{self.root}: there is no such folder. Make a store with a script in preprocess/."
            )
        shards = sorted(path.name for path in self.root.glob(SHARD_PATTERN))
        state = self.root / STATE_FILE
        if state.is_file():
            expected = json.loads(state.read_text())
            if not expected.get("complete") or len(shards) < expected.get("shards", 0):
                raise StoreError(
                    f"{self.root}: preprocessing has not finished, or shards were deleted since "
                    f"({len(shards)} of {expected.get('shards')} are there). Run the same command again: "
                    f"it makes what is missing."
                )
        if not shards:
            raise StoreError(f"{self.root}: no {SHARD_PATTERN} in it, so it is not a record store.")
        return shards


class _Shard:
    """An opened shard: signals as views of the memory map, everything else as small arrays."""

    def __init__(self, path: Path) -> None:
        reader = open_shard(path)
        self.signals: list[np.ndarray] = []  # per record batch, all its samples, int16
        batches, offsets, batch_of_row = [], [], []
        for i in range(reader.num_record_batches):
            batch = reader.get_batch(i)
            column = batch.column(batch.schema.get_field_index("signal"))
            _, offset_buffer, data = column.buffers()
            self.signals.append(np.frombuffer(data or b"", dtype="<i2"))
            begin = np.frombuffer(offset_buffer, dtype=np.int64)[column.offset :][: len(batch)]
            offsets.append(begin // 2)
            batch_of_row.append(np.full(len(batch), i, dtype=np.int64))
            batches.append(batch.select([n for n in batch.schema.names if n != "signal"]))
        self.path = path
        self.table = pa.Table.from_batches(batches)
        self.batch_of_row = np.concatenate(batch_of_row)
        self.offsets = np.concatenate(offsets)  # first sample of the row within its batch
        self.n_samples = self.table["n_samples"].to_numpy()
        self.lead_begin, names = _flat_lists(self.table["leads"])
        self.lead_positions = pc.index_in(names, value_set=pa.array(LEADS)).to_numpy().astype(np.int64)
        _, scale = _flat_lists(self.table["scale"])
        self.scale = scale.to_numpy().astype(np.float32)

    def signal(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A record as stored, (L, T) int16; the positions of its leads (L,); their scale (L,)."""
        leads = slice(self.lead_begin[row], self.lead_begin[row + 1])
        n_leads = leads.stop - leads.start
        begin = self.offsets[row]
        stored = self.signals[self.batch_of_row[row]][begin : begin + n_leads * self.n_samples[row]]
        return stored.reshape(n_leads, -1), self.lead_positions[leads], self.scale[leads]


def _flat_lists(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Where each list of a list column begins (and the last one ends), and all their items."""
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # older pyarrow keeps an empty or single chunk chunked
        lists = lists.chunk(0)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), lists.flatten()
