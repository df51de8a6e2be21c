"""Shards of the record store: Arrow files, one row a record; their schema, and how they are written.

The format is described in preprocess/README.md. A record's signal is int16, lead-major, with one factor per
lead, raw or compressed by a codec; millivolt = stored value x `scale` + `offset`. Rejections and lead faults
travel in the metadata of the shard that was being made, so that one rename makes a shard and its bookkeeping
final.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Union

import numpy as np
import pyarrow as pa

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import OutputError, StoreError
from fairseq_signals.files import whole_file
from fairseq_signals.store.codecs import CODECS, INT16, check_codec
from fairseq_signals.store.columns import column
from fairseq_signals.store.damage import damaged, not_read, record_batches, require_schema
from fairseq_signals.store.signal_column import SignalColumn, is_long
from fairseq_signals.store.sink import Sink

SCHEMA_VERSION = "2"
READABLE_VERSIONS = ("1", SCHEMA_VERSION)  #: version 1 has no column `offset`
SHARD_PATTERN = "shard-*.arrow"

SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("fs", pa.float64(), nullable=False),  # Hz
        pa.field("leads", pa.list_(pa.string()), nullable=False),  # present leads, canonical order
        pa.field("n_samples", pa.int64(), nullable=False),  # per lead
        pa.field("scale", pa.list_(pa.float64()), nullable=False),  # mV per stored unit, per present lead
        pa.field("offset", pa.list_(pa.float64())),  # mV of the stored value 0, per present lead; null: all 0
        pa.field("age", pa.float32()),  # years
        pa.field("sex", pa.string()),  # "female" or "male"
        pa.field("codes", pa.list_(pa.string()), nullable=False),
        pa.field("report", pa.string()),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),  # what else the corpus tells
        pa.field("signal", pa.large_binary(), nullable=False),  # as the codec says, see `codecs`
    ]
)

#: The attribute that says what samples were multiplied with, where that is not 1.
AMPLITUDE_FACTOR = "amplitude_factor"
_VERSION_KEY, _CODEC_KEY = b"fairseq_signals.schema", b"fairseq_signals.codec"  # metadata of the schema
_NOTES_KEY = b"fairseq_signals.notes"  # metadata of the last record batch
_LEAD_POSITION = {name: i for i, name in enumerate(LEADS)}

PathLike = Union[str, "os.PathLike[str]"]


@dataclass
class StoreRow:
    """One record as it is stored.

    Attributes:
        record_id: unique within `source`.
        source: name of the corpus.
        fs: sampling rate in Hz.
        leads: canonical names of the leads present, in canonical order.
        scale: (L,) millivolt per stored unit.
        signal: (L, T) int16.
        offset: (L,) millivolt of the stored value 0; None where that is 0 in all leads.
        patient_id, age, sex, report: None where the corpus does not tell.
        codes: diagnosis codes as in the source.
        attributes: what else the corpus tells, as (name, text); None where that is nothing.
    """

    record_id: str
    source: str
    fs: float
    leads: Sequence[str]
    scale: np.ndarray
    signal: np.ndarray
    offset: np.ndarray | None = None
    patient_id: str | None = None
    age: float | None = None
    sex: str | None = None
    codes: Sequence[str] = ()
    report: str | None = None
    attributes: Sequence[tuple[str, str]] | None = None


class Rejection(NamedTuple):
    """A record that is not in the store, and why: in a sentence, and as one of a closed list of kinds."""

    record_id: str
    reason: str
    kind: str = ""


#: What the reason of a `LeadFault` begins with where the lead is odd, but stored.
KEPT = "kept, but "


class LeadFault(NamedTuple):
    """A lead of a stored record that was left out, or is odd, and why."""

    record_id: str
    lead: str
    reason: str


@dataclass
class ShardNotes:
    """What happened while a shard was made, besides its rows."""

    rejected: list[Rejection] = field(default_factory=list)
    faults: list[LeadFault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> bytes:
        return json.dumps(
            {"rejected": self.rejected, "faults": self.faults, "counts": self.counts}, ensure_ascii=False
        ).encode("utf-8", "backslashreplace")

    @classmethod
    def from_json(cls, text: bytes) -> ShardNotes:
        value = json.loads(text)
        return cls(
            [Rejection(*row) for row in value["rejected"]],
            [LeadFault(*row) for row in value["faults"]],
            Counter(value["counts"]),
        )


# --- writing ---------------------------------------------------------------------------------------------


def shard_name(index: int) -> str:
    """The file name of the shard with this 0-based number."""
    return f"shard-{index:05d}.arrow"


@contextmanager
def going_on() -> Iterator[None]:
    """Let errors of writing say that preprocessing goes on where it stopped."""
    try:
        yield
    except OutputError as e:
        raise StoreError(f"{e} The same command goes on where it stopped.") from e


@contextmanager
def write_atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which is either there in full after the block or not at all.

    It makes no folder, since a worker on a cluster that does not see the store's would write where nobody
    looks.
    """
    with going_on(), whole_file(path, "", prepared=True) as partial, partial.open("wb") as f:
        yield f


def write_shard(
    path: PathLike, rows: Iterable[StoreRow], notes: ShardNotes | None = None, codec: str = INT16
) -> int:
    """Write one shard atomically and return the number of its rows.

    Args:
        path: the final file; a temporary one beside it is renamed when everything is on disk.
        rows: may be a generator; at most about 16 MiB of signals are held at a time.
        notes: rejections and faults; a generator may add to it while it makes rows.
        codec: how signals are stored, one of `CODECS`.
    """
    path = Path(path)
    metadata = {_VERSION_KEY: SCHEMA_VERSION, _CODEC_KEY: check_codec(codec)}
    schema = SCHEMA.with_metadata(metadata)
    notes = ShardNotes() if notes is None else notes
    n_rows = 0
    with write_atomic(path) as f, pa.ipc.new_file(sink := Sink(f), schema) as writer:
        signals = SignalColumn(codec)
        cells: list[dict[str, Any]] = []

        def batch() -> pa.RecordBatch:
            plain = [f for f in schema if f.name != "signal"]
            columns = [column([cell[f.name] for cell in cells], f.type) for f in plain]
            cells.clear()
            return pa.record_batch([*columns, signals.taken()], schema=schema)

        for row in rows:
            _check_row(row)
            if cells and is_long(row.signal):
                writer.write_batch(batch())
            cells.append({**vars(row), "signal": None, "n_samples": row.signal.shape[1]})
            signals.add(row.signal)
            sink.record = row.signal
            n_rows += 1
            if signals.is_full:
                writer.write_batch(batch())
        # The last batch carries the notes; it is written even when it is empty.
        writer.write_batch(batch(), custom_metadata={_NOTES_KEY: notes.to_json()})
    return n_rows


def _check_row(row: StoreRow) -> None:
    """Refuse a row that a reader could not interpret; a fault of the caller, not of the user's data."""
    positions = [_LEAD_POSITION.get(lead, -1) for lead in row.leads]
    if not positions or -1 in positions or positions != sorted(set(positions)):
        raise StoreError(f"record {row.record_id}: leads {list(row.leads)} are not canonical names in order")
    if row.signal.dtype != np.int16 or row.signal.ndim != 2 or len(row.signal) != len(positions):
        raise StoreError(
            f"record {row.record_id}: signal must be int16 of shape ({len(positions)}, samples), "
            f"but is {row.signal.dtype} of shape {row.signal.shape} instead"
        )
    if len(row.scale) != len(positions) or not np.all(np.isfinite(row.scale)):
        raise StoreError(
            f"record {row.record_id}: scale must be one finite number per lead, but is {row.scale}"
        )
    if row.offset is not None and (len(row.offset) != len(positions) or not np.isfinite(row.offset).all()):
        raise StoreError(
            f"record {row.record_id}: offset must be one finite number per lead, but is {row.offset}"
        )


# --- reading ---------------------------------------------------------------------------------------------


def open_shard(path: PathLike) -> pa.ipc.RecordBatchFileReader:
    """An Arrow reader over a memory map of the shard, its schema checked."""
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"{path}: there is no such shard. Was the store moved or preprocessed again?")
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowException, OSError, ValueError) as e:
        raise not_read(path, e) from e
    metadata = reader.schema.metadata or {}
    version, codec = (
        metadata.get(key, b"none").decode("utf-8", "replace") for key in (_VERSION_KEY, _CODEC_KEY)
    )
    if version not in READABLE_VERSIONS or codec not in CODECS:
        versions = " and ".join(READABLE_VERSIONS)
        raise StoreError(
            f"{path}: schema version {version} with codec {codec}, but this version reads {versions} "
            f"with {' or '.join(CODECS)}. Preprocess again with this version."
        )
    try:
        require_schema(reader.schema, SCHEMA)
    except ValueError as e:
        raise damaged(path, e) from e
    return reader


def shard_codec(reader: pa.ipc.RecordBatchFileReader) -> str:
    """How a shard's signals are stored."""
    return (reader.schema.metadata or {}).get(_CODEC_KEY, b"none").decode()


def read_notes(path: PathLike) -> tuple[int, ShardNotes]:
    """The number of rows of a shard, and its rejections, faults and counts."""
    n_rows, notes = 0, ShardNotes()
    for batch, metadata in record_batches(open_shard(path), path):
        n_rows += len(batch)
        if _NOTES_KEY in metadata:  # of the last batch
            try:
                notes = ShardNotes.from_json(metadata[_NOTES_KEY])
            except (ValueError, TypeError, KeyError, AttributeError) as e:
                raise damaged(path, f"its notes: {e}") from e
    return n_rows, notes
