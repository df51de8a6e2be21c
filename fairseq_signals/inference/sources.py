"""Whatever names or holds recordings, one by one: arrays, files of any format, rows of a record store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_signals.ecg.record import Record
from fairseq_signals.errors import FairseqSignalsError, SignalError, StoreError
from fairseq_signals.formats.common import segment_files
from fairseq_signals.formats.detect import MANY_RECORDS, detect_reader, header_of
from fairseq_signals.formats.options import DEFAULTS, ReadOptions, read_options
from fairseq_signals.formats.registry import read_with
from fairseq_signals.formats.wfdb_files import candidates
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.inference.recording import (
    Recording,
    checked,
    checked_rate,
    from_array,
    from_record,
)

if TYPE_CHECKING:
    from fairseq_signals.store.reading import RecordStore
    from fairseq_signals.store.stored_records import StoredRecords


@dataclass(frozen=True)
class StoreRecord:
    """A record of a record store, by its id or by its place, or by its place if it has that id.

    Attributes:
        store: the store, or its folder.
        record_id: its id, or `<source>/<id>`.
        shard, row: file name of the shard and row in it.
    """

    store: RecordStore | str | Path
    record_id: str | None = None
    shard: str | None = None
    row: int | None = None


#: Types whose instances are one recording each.
ONE_RECORD = (str, Path, Record, Recording, StoreRecord)


def is_one(records: Any) -> bool:
    """Whether this is one recording, and not several.

    Numbers are one recording as an array of them is, nested once or twice; arrays and columns of paths or
    other objects are several.
    """
    if isinstance(records, ONE_RECORD):
        return True
    if hasattr(records, "ndim"):  # numpy arrays, torch tensors, columns of pandas
        of_numbers = getattr(getattr(records, "dtype", None), "kind", "f") in "iufbc"
        return records.ndim < 3 and (of_numbers or records.ndim != 1)
    first = _first(records)
    return isinstance(first, Real) or isinstance(_first(first), Real)


def _first(values: Any) -> Any:
    """The first item of a list; None of an empty one, and of anything else."""
    return values[0] if isinstance(values, (list, tuple)) and len(values) else None


def read_recording(
    source: str | Path | StoreRecord, *, leads: Any = None, lead_names: Any = None, **reading: Any
) -> Recording:
    """One recording of any format that preprocessing reads, in millivolt and with what its file tells.

    Models and preprocessing read with the same function underneath. What it left out, `faults` and `ignored`
    say; what it converted, filled in or kept, `notes`.

    Args:
        source: a path, or a `StoreRecord`, as `Opener.read` takes it.
        leads: read these leads only: names, or a lead set such as "12" or "2"; by default all that there are.
        lead_names: which leads channels of a file are that it calls otherwise, such as {"ECG": "II"}, see
            `parse_lead_names`.
        reading: further options of files, see `ReadOptions`: gaps, amplitude_scale, max_seconds, fs, unit.

    Raises:
        FairseqSignalsError: it cannot be read; the message says why.
    """
    if not isinstance(source, (str, Path, StoreRecord)):
        raise SignalError(
            f"a recording is read from a path or a StoreRecord, but this is {type(source).__name__}; of an "
            "array, make a Recording(signal_mv, fs, leads)"
        )
    return from_record(Opener(options=read_options(lead_names, **reading)).record(source), leads)


class Opener:
    """Reads recordings; record stores that it opened once stay open.

    Args:
        fs: sampling rate of arrays, Hz. A file says its own: where it is another one, that is an error.
        leads: which lead each row of an array is; of a file or store, which leads to use.
        options: how files are read; samples are as in the file, whatever `exact` is.
    """

    def __init__(self, fs: float | None = None, leads: Any = None, options: ReadOptions = DEFAULTS) -> None:
        self.fs, self.leads, self.options = fs, leads, replace(options, exact=True)
        self._stores: dict[str, StoredRecords] = {}

    def read(self, source: Any, position: int | None = None) -> Recording:
        """One recording.

        Args:
            source: an array in mV, (L, T); a `Recording`; a record that a reader gave; a `StoreRecord`; or a
                path: a WFDB record with or without suffix, a file of any other format, `FILE.hdf5#ROW` of a
                file with many records, `SHARD.arrow#ROW`, or `STORE#RECORD_ID`; or the error that says why
                there is none, which is raised.
            position: place in the batch, by which an array is called in messages.

        Raises:
            FairseqSignalsError: it cannot be read or used; the message says which recording, and why.
        """
        if isinstance(source, FairseqSignalsError):
            raise source
        if isinstance(source, (str, Path, StoreRecord)):
            source = self.record(source)
        if isinstance(source, Record):
            source = from_record(source)
        if not isinstance(source, Recording):
            name = "array" if position is None else f"{position} of the batch"
            return from_array(source, self.fs, self.leads, name)
        recording = checked(source, self.leads)
        if self.fs is not None and checked_rate(self.fs, recording.record_id) != recording.fs:
            raise SignalError(
                f"record {recording.record_id} says that its sampling rate is {recording.fs:g} Hz, but "
                f"fs={self.fs} was given; fs is for arrays: leave it out, or correct the file"
            )
        return recording

    def record(self, source: str | Path | StoreRecord) -> Record:
        """The record at a place, as its reader or its store gives it; see `read`."""
        if isinstance(source, StoreRecord):
            return self._read_store(source)
        path, row = split_place(str(source))
        if row is None and (why := why_not_one(path)):
            raise SignalError(f"{path} is {why}")
        if row is not None and os.path.isdir(path):
            return self._read_store(StoreRecord(path, row))
        if row is not None and not row.isdecimal():
            raise SignalError(f"{path}: after # a row is expected, 0 for the first, but there is {row!r}")
        index = None if row is None else int(row)
        if index is not None and path.suffix == ".arrow":
            return self._read_store(StoreRecord(path.parent, shard=path.name, row=index))
        reader = detect_reader(path)
        if reader in MANY_RECORDS and row is None:
            raise SignalError(f"{path} holds many records; name one by its row: '{path}#0'")
        if reader not in MANY_RECORDS and row is not None:
            raise SignalError(f"{path} is one record: leave out #{row}")
        return read_with(reader, header_of(path) or path, index=index, options=self.options)

    def _read_store(self, source: StoreRecord) -> Record:
        from fairseq_signals.store.stored_records import StoredRecords

        key = str(getattr(source.store, "root", source.store))
        if key not in self._stores:
            self._stores[key] = StoredRecords(source.store)
        records = self._stores[key]
        if source.shard is not None and source.row is not None:
            return records.read(source.shard, source.row, source.record_id)
        if source.record_id is None:
            raise StoreError(f"{key}: a StoreRecord needs a record_id, or a shard and a row")
        return records.read(*records.find(source.record_id))


def read_each(records: Any, opener: Opener) -> Iterator[Recording | FairseqSignalsError]:
    """Each recording of a batch, or the error that says why it cannot be used.

    Args:
        records: a recording, an array of them (B, L, T), or anything else that can be iterated.

    Raises:
        SignalError: it cannot be.
    """
    one = is_one(records)
    if not one and (not isinstance(records, Iterable) or isinstance(records, (dict, set, frozenset, bytes))):
        raise SignalError(
            f"records must be an array, a path, or a list of them, but are {type(records).__name__}"
        )
    for position, source in enumerate([records] if one else records):
        try:
            yield opener.read(source, None if one else position)
        except FairseqSignalsError as error:
            yield error


def split_place(source: str) -> tuple[Path, str | None]:
    """The file or store that a path names, and what stands after its "#": a row or record; None: nothing."""
    path = Path(source)
    if not os.path.exists(path) and header_of(path) is None:
        for i in (i for i, letter in enumerate(source) if letter == "#"):
            if os.path.exists(place := Path(source[:i])):
                return place, source[i + 1 :]
    return path, None


def why_not_one(path: Path) -> str:
    """What a path is that holds many recordings or none, and the next step; "" where it may be one."""
    every = f"read_recordings('{path}') reads all"
    if path.suffix == ".arrow" and os.path.isfile(path):
        return (
            f"a part of a record store; name a row of it, '{path}#0', or a record: '{path.parent}#RECORD_ID'"
        )
    if not os.path.isdir(path):
        return f"a manifest; {every} that it lists" if _is_manifest(path) else ""
    if any(path.glob("*.arrow")):
        return f"a record store; name a record of it, '{path}#RECORD_ID', or {every}"
    if names := manifests_in(path):
        return f"a folder of manifests; read_recordings('{path / names[0]}') reads what one of them lists"
    return f"a folder; name a recording in it, or {every}"


def manifests_in(folder: Path) -> list[str]:
    """The names of the manifests in a folder."""
    return sorted(path.name for path in folder.glob("*.tsv") if _is_manifest(path))


def _is_manifest(path: Path) -> bool:
    """Whether this is a table (.tsv) whose first line names one thing, the root."""
    if path.suffix == ".tsv" and os.path.isfile(path):
        with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(4096)
            return bool(first.strip()) and "\t" not in first
    return False


def signature(source: str | Path | StoreRecord | FairseqSignalsError) -> str:
    """Text that is another one where the place of a recording, or size or time of one of its files, is."""
    if isinstance(source, FairseqSignalsError):
        return ""
    if isinstance(source, StoreRecord):
        store = os.path.abspath(str(getattr(source.store, "root", source.store)))
        place, files = f"{store}#{source.shard}#{source.row}", [Path(store, source.shard or "")]
    else:
        place, files = os.path.abspath(source), files_of(str(source))
    digest = hashlib.blake2b(os.fsencode(place), digest_size=16)
    for file in files:
        digest.update(b"\0" + os.fsencode(file.name) + _state(file))
    return digest.hexdigest()


def files_of(source: str) -> list[Path]:
    """The files that a path (or `FILE#ROW`, `STORE#RECORD_ID`) is read from."""
    place, _ = split_place(source)
    if (header := header_of(place)) is not None:
        return _of_header(header)
    return sorted(place.glob("*.arrow")) if os.path.isdir(place) else segment_files(place)


def _of_header(path: Path) -> list[Path]:
    try:
        header = read_header(path)
    except SignalError:  # reading the recording tells why
        return [path]
    files = [path, *(file for name in header.signal_files for file in _meant(path.parent, name))]
    for name in dict.fromkeys(header.segments):
        if name != "~" and "/" not in name and name != path.stem:
            files += _of_header(_meant(path.parent, f"{name}.hea")[0])
    return files


def _meant(folder: Path, name: str) -> list[Path]:
    return candidates(folder, name) or [folder / name]


def _state(path: Path) -> bytes:
    try:
        found = os.stat(path)
    except OSError:
        return b" missing"
    return b" %d %d" % (found.st_size, found.st_mtime_ns)
