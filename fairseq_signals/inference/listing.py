"""From what a command line names to single recordings: files, folders, record stores, manifests."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_signals.ecg.folder import find_files, find_records
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.sources import StoreRecord

#: Files in a folder that are recordings, besides WFDB headers.
SUFFIXES = (".dcm", ".dicom", ".edf", ".bdf", ".scp", ".xml")


class Named(NamedTuple):
    """A recording and what it is called in results: its path, or its id in a store or manifest."""

    name: str
    source: Any


def list_recordings(places: Iterable[str]) -> list[Named]:
    """All recordings of several places, in their order, each once.

    Args:
        places: a recording; a folder, of which every recording is; a record store; or a manifest (.tsv),
            of which every record is.

    Raises:
        ConfigError: a place is empty or absent, or two recordings have one name.
    """
    found: dict[str, Named] = {}
    for place in places:
        listed = _list(place)
        if not listed:
            raise ConfigError(f"{place}: there is no recording in it (WFDB headers, {', '.join(SUFFIXES)})")
        for named in listed:
            if found.setdefault(named.name, named).source != named.source:
                raise ConfigError(f"two recordings are called {named.name}: {found[named.name].source} and "
                                  f"{named.source}; take them one after the other")  # fmt: skip
    return list(found.values())


def _list(place: str) -> list[Named]:
    path = Path(place)
    if path.suffix == ".tsv" and path.is_file():
        return _of_manifest(path)
    if not path.is_dir():
        return [Named(place, place)]
    if any(path.glob("*.arrow")):
        return _of_store(path)
    records = [*find_records(path).records, *find_files(path, SUFFIXES)]
    return sorted(Named(record.record_id, str(record.path)) for record in records)


def _of_store(path: Path) -> list[Named]:
    from fairseq_signals.data.store import RecordStore

    columns = RecordStore(path).metadata(("shard", "row", "source", "record_id")).columns
    rows = zip(*(column.to_pylist() for column in columns))
    return [Named(f"{source}/{name}", StoreRecord(str(path), None, shard, row))
            for shard, row, source, name in rows]  # fmt: skip


def _of_manifest(path: Path) -> list[Named]:
    """The records of a manifest, each once and whole; of the authors' `.mat` files, each file."""
    from fairseq_signals.data.manifest import STORE, read_manifest

    manifest = read_manifest(path)
    if manifest.layout != STORE:
        return [Named(str(name), str(manifest.root / name)) for name in manifest.paths]
    found: dict[str, Named] = {}
    for place, name in zip(manifest.paths, manifest.record_ids):
        if name not in found:
            shard, _, rest = str(place).rpartition("#")
            row = int(rest.partition(":")[0])
            shard_path = manifest.root / shard
            found[name] = Named(name, StoreRecord(str(shard_path.parent), None, shard_path.name, row))
    return list(found.values())


def patients_of(recordings: Sequence[Named], table: Path | None) -> list[str]:
    """Whose each recording is.

    Args:
        recordings: in a folder with a folder a patient, the first part of a name says whose it is.
        table: CSV with the columns `record` and `patient`, in place of that.

    Raises:
        ConfigError: the table lacks a column or a recording.
    """
    if table is None:
        return [
            named.name.partition("/")[0] if "/" in named.name else Path(named.name).stem
            for named in recordings
        ]
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"record", "patient"} <= set(rows[0]):
        raise ConfigError(f"{table}: expected a CSV file with the columns record and patient")
    patient = {row["record"]: row["patient"] for row in rows}
    missing = [named.name for named in recordings if named.name not in patient]
    if missing:
        raise ConfigError(f"{table}: has no patient for {len(missing)} recordings, the first {missing[0]}")
    return [patient[named.name] for named in recordings]
