"""From what a command line names to single recordings: files, folders, record stores, manifests."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fairseq_signals.data.csv_table import read_table
from fairseq_signals.ecg.folder import find_files, find_records
from fairseq_signals.ecg.readers.authors_mat import SEGMENT_NAME
from fairseq_signals.ecg.readers.detect import MANY_RECORDS, detect_reader
from fairseq_signals.errors import ConfigError, FairseqSignalsError, SignalWarning
from fairseq_signals.inference.signature import header_of
from fairseq_signals.inference.sources import StoreRecord

if TYPE_CHECKING:
    from fairseq_signals.ecg.readers.code15_hdf5 import Tracings

#: Files in a folder that are recordings, besides WFDB headers and DICOM files of any name. A `.mat` file is
#: one if no header names it.
SUFFIXES = (
    ".dcm", ".dicom", ".ima", ".edf", ".bdf", ".rec", ".scp", ".ecg", ".xml", ".h5", ".hdf5", ".mat",
)  # fmt: skip
_SIGNAL_SUFFIXES = (".dat", ".mat")
_HDF5_SUFFIXES = (".h5", ".hdf5")
_MANY_OF_ONE = 100  # recordings of a person, from which the folders may stand for something else


class Named(NamedTuple):
    """A recording and what it is called in results.

    Attributes:
        name: its path, or its id in a store or manifest.
        source: what `ECGModel` takes.
        patient: whose it is, as a folder, store or manifest says; None: nothing does.
        folder: the folder whose first level says so; None: something else does, the same for all places.
    """

    name: str
    source: Any
    patient: str | None = None
    folder: str | None = None


def list_recordings(places: Iterable[str]) -> list[Named]:
    """All recordings of several places, in their order, each once.

    Args:
        places: a recording; a file that holds many; a folder, of which every recording is, whatever its
            format; a record store; or a manifest (.tsv), of which every record is.

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
    header = None if path.is_dir() else header_of(path)
    if header is not None:  # so that its signal file does not stand for a second recording
        return [Named(str(header)[: -len(header.suffix)], str(header))]
    if not path.is_dir():
        return list(_of_file(place, path, None))
    if any(path.glob("*.arrow")):
        return _of_store(path)
    return [named._replace(folder=place) for named in sorted(_of_folder(path))]


def _of_folder(root: Path) -> Iterator[Named]:
    """Every recording below a folder; where a file cannot be read, reading it tells why.

    A name is the path below the folder without suffix; with it where two recordings would share one.
    """
    listing = find_records(root)
    for record in listing.records:
        yield Named(record.record_id, str(record.path), _first_part(record.record_id))
    names = {record.record_id for record in listing.records}
    top = Path(os.path.abspath(root))
    orphans = [top / name for name in listing.orphans]  # signal files that no header names
    misnamed = [path for path in orphans if header_of(path) is not None]
    if misnamed:
        _warn_misnamed(root, misnamed)
    unnamed = {path for path in orphans if header_of(path) is None}
    found = find_files(root, (*SUFFIXES, *_SIGNAL_SUFFIXES), _is_dicom)
    files = {file.path: file.record_id for file in found
             if file.path.suffix.lower() not in _SIGNAL_SUFFIXES or file.path in unnamed}  # fmt: skip
    for path, name in files.items():
        segment = SEGMENT_NAME.fullmatch(path.name)
        if segment is not None and segment[2] != "0":
            before = (path.with_name(f"{segment[1]}_{k}{path.suffix}") for k in range(int(segment[2])))
            if all(earlier in files for earlier in before):
                continue  # read with the first
        elif segment is not None:
            name = name[: -len("_0")]
        if name in names:
            name = path.relative_to(top).as_posix()
        names.add(name)
        yield from _of_file(name, path, _first_part(name))


def _warn_misnamed(root: Path, files: list[Path]) -> None:
    header = files[0].with_suffix(".hea").name
    warnings.warn(
        f"{root}: {len(files)} signal files are left out, the first {files[0]}: the header {header} beside "
        "it names other files",
        SignalWarning,
        stacklevel=2,
    )


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def _first_part(name: str) -> str:
    """Whose a recording is, where each patient has a folder or a file."""
    return name.partition("/")[0]


def _of_file(name: str, path: Path, patient: str | None) -> Iterator[Named]:
    """The recording that a path names; of a file with many, each, called by its exam or row."""
    exams = _exams(path) if path.suffix.lower() in _HDF5_SUFFIXES else None
    if exams is None:
        yield Named(name, str(path), patient)
        return
    for row in range(exams.n_exams):
        if exams.exam_ids is None:
            yield Named(f"{name}#{row}", f"{path}#{row}")
        elif exams.exam_ids[row]:  # 0 is no exam
            yield Named(f"{name}/{exams.exam_ids[row]}", f"{path}#{row}")


def _exams(path: Path) -> Tracings | None:
    """What a file of many records holds; None for others, and for those that cannot be read."""
    try:
        if detect_reader(path) in MANY_RECORDS:
            from fairseq_signals.ecg.readers.code15_hdf5 import read_contents

            return read_contents(path)
    except FairseqSignalsError:
        pass  # reading the recording tells why
    return None


def _of_store(path: Path) -> list[Named]:
    from fairseq_signals.data.people import patient_key
    from fairseq_signals.data.store import RecordStore

    columns = RecordStore(path).metadata(("shard", "row", "source", "record_id", "patient_id")).columns
    rows = zip(*(column.to_pylist() for column in columns))
    return [Named(f"{source}/{name}", StoreRecord(str(path), None, shard, row),
                  patient_key(source, name, patient))
            for shard, row, source, name, patient in rows]  # fmt: skip


def _of_manifest(path: Path) -> list[Named]:
    from fairseq_signals.inference.manifests import manifest_records

    found = []
    for record_id, patient_id, source in manifest_records(path):
        if isinstance(source, StoreRecord):
            source = replace(source, store=str(getattr(source.store, "root", source.store)))
        found.append(Named(record_id, source, patient_id))
    return found


def patients_of(recordings: Sequence[Named], table: Path | None) -> list[str]:
    """Whose each recording is.

    Args:
        recordings: in a folder with a folder a patient, the first part of a name says whose it is; stores
            and manifests say it themselves.
        table: CSV with the columns `record` and `patient`, in place of that.

    Raises:
        ConfigError: nothing says whose a recording is; or two folders say it, each in its own way; or the
            table lacks a column or a recording, or contradicts itself.
    """
    if table is None:
        known = [named.patient for named in recordings if named.patient is not None]
        if len(known) < len(recordings):
            first = next(named.name for named in recordings if named.patient is None)
            raise ConfigError(
                f"{first}: a file alone does not say whose recording it is; name its folder, with a folder a "
                "patient, or pass --patients"
            )
        _require_one_folder(recordings)
        return known
    patient = _read_patients(table)
    missing = [named.name for named in recordings if named.name not in patient]
    if missing:
        raise ConfigError(f"{table}: has no patient for {len(missing)} recordings, the first {missing[0]}")
    return [patient[named.name] for named in recordings]


def odd_about(patients: Sequence[str]) -> str | None:
    """What makes it doubtful that these are people, one a recording; None: nothing."""
    counts = Counter(patients)
    patient, n = counts.most_common(1)[0]
    if len(counts) == 1:
        found = f"all {n} enrolled recordings are of one patient, {patient!r}"
    elif n > _MANY_OF_ONE:
        found = f"{n} of the enrolled recordings are of one patient, {patient!r}"
    else:
        return None
    return f"{found}; if its name does not stand for one person, say with --patients who is who"


def _require_one_folder(recordings: Sequence[Named]) -> None:
    folders: dict[str | None, str | None] = {}
    for named in recordings:
        other = folders.setdefault(named.patient, named.folder)
        if other != named.folder:
            raise ConfigError(
                f"{named.patient} is in {other or 'a store or manifest'} and in "
                f"{named.folder or 'a store or manifest'}, and nothing tells whether that is one person; "
                "pass --patients"
            )


def _read_patients(table: Path) -> dict[str, str]:
    """The patient of each record of a table; records with a blank one are not in it."""
    patients: dict[str, str] = {}
    for row in read_table(table, ("record", "patient"), ConfigError, "Save a table with both as CSV UTF-8.")[
        1
    ]:
        record, patient = row.cells["record"], row.cells["patient"]
        if patient and patients.setdefault(record, patient) != patient:
            raise ConfigError(
                f"{table}: two rows say whose {record} is, {patients[record]} and {patient}; leave one"
            )
    return patients
