"""The record store: a folder of shards, read by memory map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.resample import POLYPHASE, RESAMPLERS
from fairseq_signals.errors import StoreError
from fairseq_signals.safety.rules import TRUTH, check, integer, one_of, read_json, shown
from fairseq_signals.store.damage import record_batches
from fairseq_signals.store.mapped import Shard
from fairseq_signals.store.shards import SCHEMA, SHARD_PATTERN, PathLike, open_shard

#: What `RecordStore.metadata` gives of each record.
METADATA_COLUMNS = (*(name for name in SCHEMA.names if name != "signal"), "shard", "row")
#: What the store was made from and with, and whether it is complete.
STATE_FILE = "store.json"
#: Where preprocessing notes the leads and other channels that it left out, and leads that are odd (`KEPT`).
FAULTS_FILE = "lead_faults.tsv"
#: In it: how many records were not available, so that the store is not complete and they are tried again.
UNAVAILABLE_KEY = "unavailable"
_RESAMPLER = "resampler"  # as in `BuildOptions`; stores of before it was asked for are polyphase
_STATE = {
    "complete": TRUTH,
    "shards": integer(0, 1 << 40),
    UNAVAILABLE_KEY: integer(0, 1 << 40),
    _RESAMPLER: one_of(*RESAMPLERS),
}
_ALL_LEADS = np.arange(N_LEADS)


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
        self._states = {name: _state(self.root / name) for name in self.shards}
        self._open: dict[str, Shard] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": {}}  # memory maps belong to one process

    def __len__(self) -> int:
        return sum(self.open(name).n_rows for name in self.shards)

    @property
    def resampler(self) -> str:
        """How records at other rates than the store's were resampled, see `fairseq_signals.ecg.resample`."""
        path = self.root / STATE_FILE
        return read_state(path)[_RESAMPLER] if path.is_file() else POLYPHASE

    def metadata(self, columns: Sequence[str] | None = None, shards: Sequence[str] | None = None) -> pa.Table:
        """What the store tells of its records, without their signals.

        Args:
            columns: those to read, in this order, of the schema's and of `shard` (file name) and `row` (int64
                from 0), which say where a record is; all but `signal` by default.
            shards: file names; all by default.
        """
        wanted = METADATA_COLUMNS if columns is None else columns
        names = self.shards if shards is None else shards
        return pa.concat_tables([_metadata(self.root / name, wanted) for name in names])

    def n_samples(self, shard: str, row: int) -> int:
        """Samples per lead of a record."""
        batch, i = self.open(shard).find(row)
        return batch.n_samples[i]

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
        total = self.n_samples(shard, row)
        stop = total if n_samples is None else start + n_samples
        self._check_stretch(shard, row, start, stop, total)
        signal = np.empty((N_LEADS, stop - start), dtype=np.float32)
        leads = self.read_into(signal, shard, row, start)
        present = np.zeros(N_LEADS, dtype=bool)
        present[leads] = True
        return signal, present

    def present(self, shard: str, rows: np.ndarray) -> np.ndarray:
        """(R, 12) bool, True where a record of (R,) rows has the lead, though it may be flat."""
        known = self.open(shard)
        known.find(int(rows.max()))  # raises where there is no such row
        return known.present[rows]

    def read_into(
        self, out: np.ndarray, shard: str, row: int, start: int = 0, omit: np.ndarray | None = None
    ) -> np.ndarray:
        """Fill `out`, (12, n_samples) float32 or float64, with a stretch of a record as `read` gives it.

        Args:
            out: where the stretch goes; it says how long that is.
            shard, row, start: as of `read`.
            omit: (12,) bool, True for leads that are not read: they become zeros.

        Returns:
            The positions (L,) of the leads that the record has.
        """
        batch, i = self.open(shard).find(row)
        stop = start + out.shape[1]
        if not 0 <= start <= stop <= batch.n_samples[i]:
            self._check_stretch(shard, row, start, stop, batch.n_samples[i])
        first, last = batch.lead_begin[i], batch.lead_begin[i + 1]
        scale, offset = batch.scale[first:last], batch.offset(i)  # (L, 1)
        try:
            stored = batch.samples(i, last - first, start, stop)
        except StoreError as e:
            path = self.root / shard
            raise StoreError(f"{path}: row {row}: {e}. Preprocess again with --overwrite.") from e
        if last - first == N_LEADS:
            if omit is not None:
                scale = scale * ~omit[:, None]
            import torch  # here, since preprocessing does without it

            out[...] = stored  # in two steps: quicker than one that converts through buffers
            torch.from_numpy(out).mul_(torch.from_numpy(scale))  # in half of numpy's time
            if offset is not None:
                out += offset if omit is None else offset * ~omit[:, None]
            return _ALL_LEADS
        leads = batch.lead_positions[first:last].astype(np.int64)
        out.fill(0)
        out[leads] = np.multiply(stored, scale, dtype=out.dtype)
        if offset is not None:
            out[leads] += offset
        if omit is not None:
            out[omit] = 0.0
        return leads

    def _check_stretch(self, shard: str, row: int, start: int, stop: int, total: int) -> None:
        if not 0 <= start <= stop <= total:
            raise StoreError(
                f"{self.root / shard}: row {row} has {total} samples, but {start} to {stop} were asked for. "
                f"Rebuild the manifest from this store."
            )

    def open(self, name: str) -> Shard:
        """A shard, mapped into memory when it is first asked for.

        Raises:
            StoreError: it is damaged, or another one than when the store was opened.
        """
        if name not in self._open:
            shard = Shard(self.root / name)
            if self._states.get(name) != _state(self.root / name):
                raise StoreError(
                    f"{self.root / name}: was changed since the store was opened: it was built anew. Run the "
                    "same command again."
                )
            self._open[name] = shard
        return self._open[name]

    def _find_shards(self) -> list[str]:
        if not self.root.is_dir():
            raise StoreError(
                f"{self.root}: there is no such folder. Make a store with a script in preprocess/."
            )
        shards = sorted(path.name for path in self.root.glob(SHARD_PATTERN))
        state = self.root / STATE_FILE
        if state.is_file():
            expected = read_state(state)
            is_finished = expected.get("complete") or expected.get(UNAVAILABLE_KEY)
            if not is_finished or len(shards) < expected.get("shards", 0):
                raise StoreError(
                    f"{self.root}: preprocessing has not finished, or shards were deleted since "
                    f"({len(shards)} of {expected.get('shards')} are there). Run the same command again: "
                    f"it makes what is missing."
                )
        if not shards:
            raise StoreError(f"{self.root}: no {SHARD_PATTERN} in it, so it is not a record store.")
        return shards


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def read_state(path: Path) -> dict[str, Any]:
    """What `store.json` says.

    Raises:
        StoreError: it is damaged.
    """
    state = read_json(path, StoreError)
    if not isinstance(state, dict):
        raise StoreError(f"{path}: must be a dictionary, but is {shown(state)}")
    check(state, _STATE, f"{path}: ", StoreError)
    return {**state, _RESAMPLER: state.get(_RESAMPLER) or POLYPHASE}


def _metadata(path: Path, columns: Sequence[str]) -> pa.Table:
    """Columns of one shard, and where its records are."""
    reader = open_shard(path)
    table = pa.Table.from_batches([batch for batch, _ in record_batches(reader, path)], reader.schema)
    n, stored = len(table), frozenset(table.column_names)
    arrays = []
    for name in columns:
        if name == "shard":
            arrays.append(pa.chunked_array([pa.repeat(path.name, n)]))
        elif name == "row":
            arrays.append(pa.chunked_array([np.arange(n, dtype=np.int64)]))
        elif name in stored:
            arrays.append(table[name])
        else:  # the shard is older than this column
            arrays.append(pa.chunked_array([pa.nulls(n, SCHEMA.field(name).type)]))
    return pa.table(arrays, names=list(columns))
