"""From what a command line names to single recordings: files, folders, record stores, manifests."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.ecg.record import parse_patient
from fairseq_signals.errors import (
    ConfigError,
    FairseqSignalsError,
    SignalWarning,
    without_record,
)
from fairseq_signals.formats.candidates import iter_candidates
from fairseq_signals.formats.compressed import inner_path
from fairseq_signals.formats.detect import (
    HEADER,
    MANY_RECORDS,
    SUFFIXES,
    detect_reader,
    header_of,
    no_file,
)
from fairseq_signals.formats.folder import WITHOUT_HEADER
from fairseq_signals.formats.options import ReadOptions, read_options
from fairseq_signals.inference.recording import Recording, from_record
from fairseq_signals.inference.sources import Opener, StoreRecord, manifests_in, split_place
from fairseq_signals.safety.text import visible

if TYPE_CHECKING:
    from fairseq_signals.formats.code15_hdf5 import Tracings

_HDF5_SUFFIXES = (".h5", ".hdf5")


class ListedRecording(NamedTuple):
    """A recording and what it is called in results.

    Attributes:
        name: its path, or its id in a store or manifest, with escapes in place of what is not seen.
        source: what `ECGModel` takes; or the error that says why there is none.
        patient: whose it is, as a folder, store or manifest says; None: nothing does.
        folder: the folder whose first level says so; None: something else does, the same for all places.
    """

    name: str
    source: Any
    patient: str | None = None
    folder: str | None = None


def list_recordings(places: Iterable[str]) -> list[ListedRecording]:
    """All recordings of several places, in their order, each once; those of a folder by their names.

    Raises:
        FairseqSignalsError: nothing can be listed in the only place, or two recordings have one name.
    """
    found: dict[str, ListedRecording] = {}
    places = list(places)
    for place in places:
        try:
            listed = list(iter_recordings(place))
            if not listed:
                raise _nothing_in(place)
        except FairseqSignalsError as error:
            if len(places) == 1:
                raise
            listed = [ListedRecording(visible(place), error)]
        if listed[0].folder is not None:
            listed.sort(key=lambda recording: (recording.name, str(recording.source)))
        for recording in listed:
            first = found.setdefault(recording.name, recording)
            if str(first.source) != str(recording.source):
                raise ConfigError(f"two recordings are called {first.name}: {first.source} and "
                                  f"{recording.source}; take them one after the other")  # fmt: skip
    return list(found.values())


def iter_recordings(place: str) -> Iterator[ListedRecording]:
    """The recordings of a place, as they are found.

    Args:
        place: a recording; a file that holds many; a folder, of which every recording is, whatever its
            format; a record store; or a manifest (.tsv), of which every record is, whole.
    """
    for listed in _listed(place):
        patient = None if listed.patient is None else visible(listed.patient)
        yield listed._replace(name=visible(listed.name), patient=patient)


def _listed(place: str) -> Iterator[ListedRecording]:
    path = Path(place)
    is_folder = os.path.isdir(path)
    header = None if is_folder else header_of(path)
    if path.suffix == ".tsv" and os.path.isfile(path):
        yield from _of_manifest(path)
    elif header is not None:  # so that its signal file does not stand for a second recording
        yield ListedRecording(str(inner_path(header))[: -len(HEADER)], str(header))
    elif not is_folder and not _is_place(split_place(place)[0]):
        yield ListedRecording(place, no_file(path))
    elif not is_folder:
        yield from _of_file(place, path)
    elif any(path.glob("*.arrow")):
        yield from _of_store(path)
    else:
        yield from _of_folder(place)


def _is_place(path: Path) -> bool:
    """Whether a file or a store is there, and not a pipe or nothing."""
    return os.path.isfile(path) or os.path.isdir(path)


def read_recordings(
    place: str | Path, *, leads: Any = None, on_error: str = "warn", **reading: Any
) -> Iterator[Recording]:
    """The recordings of a place, read one at a time; each is called as in the results of `embed`.

    They come as they are found, folder by folder and by name: memory does not grow with their number.

    Args:
        place: see `iter_recordings`.
        leads: see `read_recording`.
        on_error: what to do about a recording that cannot be read: "warn", tell why in a `SignalWarning` and
            go on with the next one; or "raise" its error.
        reading: how files are read: lead_names and what else `read_recording` takes.

    Raises:
        ConfigError: there is no such place or no recording in it, or `on_error` is neither.
        LeadError: a lead does not exist.
    """
    parse_leads(leads)
    if on_error not in ("warn", "raise"):
        raise ConfigError(f"on_error must be 'warn' or 'raise', but is {on_error!r}")
    path, _ = split_place(str(place))
    if not os.path.exists(path) and header_of(path) is None:
        raise ConfigError(f"{place}: there is no such folder, file, record store or manifest")
    return _read_each(str(place), leads, on_error == "raise", read_options(**reading))


def _read_each(place: str, leads: Any, strict: bool, options: ReadOptions) -> Iterator[Recording]:
    opener, listed = Opener(options=options), None
    for listed in iter_recordings(place):
        try:
            recording = from_record(opener.record(listed.source), leads)
        except FairseqSignalsError as error:
            if strict:
                raise
            reason = without_record(error, listed.name)
            warnings.warn(f"{listed.name} is left out: {reason}", SignalWarning, stacklevel=2)
        else:
            yield replace(recording, record_id=listed.name)
    if listed is None:
        raise _nothing_in(place)


def _nothing_in(place: str) -> ConfigError:
    if names := manifests_in(Path(place)):
        return ConfigError(f"{place} is a folder of manifests; name one of them: {', '.join(names)}")
    formats = ", ".join(SUFFIXES[1:])
    return ConfigError(f"{place}: there is no recording in it (WFDB headers, {formats})")


def _of_folder(place: str) -> Iterator[ListedRecording]:
    """Every recording below a folder; where a file cannot be read, reading it tells why."""
    misnamed: list[Path] = []
    for found in iter_candidates(Path(place)):
        if found.rejected_kind == WITHOUT_HEADER and header_of(found.path) is not None:
            misnamed.append(found.path)
            continue
        patient, error = parse_patient(found.record_id.partition("/")[0]), found.unread
        if error is not None:
            yield ListedRecording(found.record_id, error, patient, place)
            continue
        for listed in _of_file(found.record_id, found.path):
            is_whole_file = listed.source == str(found.path)
            yield listed._replace(patient=patient if is_whole_file else None, folder=place)
    if misnamed:
        first = min(misnamed)
        warnings.warn(
            f"{place}: {len(misnamed)} signal files are left out, the first {first}: the header "
            f"{first.with_suffix(HEADER).name} beside it names other files",
            SignalWarning,
            stacklevel=2,
        )


def _of_file(name: str, path: Path) -> Iterator[ListedRecording]:
    """The recording that a path names; of a file with many, each, called by its exam or row."""
    exams = _exams(path) if path.suffix.lower() in _HDF5_SUFFIXES else None
    if exams is None:
        yield ListedRecording(name, str(path))
        return
    for row in range(exams.n_exams):
        if exams.exam_ids is None:
            yield ListedRecording(f"{name}#{row}", f"{path}#{row}")
        elif exams.exam_ids[row]:  # 0 is no exam
            yield ListedRecording(f"{name}/{exams.exam_ids[row]}", f"{path}#{row}")


def _exams(path: Path) -> Tracings | None:
    """What a file of many records holds; None for others, and for those that cannot be read."""
    with suppress(FairseqSignalsError):  # reading the recording tells why
        if detect_reader(path) in MANY_RECORDS:
            from fairseq_signals.formats.code15_hdf5 import read_contents

            return read_contents(path)
    return None


def _of_store(path: Path) -> Iterator[ListedRecording]:
    from fairseq_signals.manifest.people import patient_key
    from fairseq_signals.store.reading import RecordStore

    columns = ("shard", "row", "source", "record_id", "patient_id")
    for batch in RecordStore(path).metadata(columns).to_batches():
        for shard, row, source, name, patient in zip(*(column.to_pylist() for column in batch.columns)):
            place = StoreRecord(str(path), f"{source}/{name}", shard, row)
            yield ListedRecording(f"{source}/{name}", place, patient_key(source, name, patient))


def _of_manifest(path: Path) -> Iterator[ListedRecording]:
    """Each recording of which a manifest lists a segment, once and whole, in the manifest's order.

    Of `.mat` files of the authors' scripts, the first segment that is listed stands for its recording.
    """
    from fairseq_signals.manifest.places import parse_path
    from fairseq_signals.manifest.table import STORE, read_manifest

    manifest, seen = read_manifest(path), set()
    for place, record_id, patient_id in zip(manifest.paths, manifest.record_ids, manifest.patient_ids):
        if record_id in seen:
            continue
        seen.add(record_id)
        source: Any = manifest.root / place
        if manifest.layout == STORE:
            shard, row, _ = parse_path(place)
            folder, name = os.path.split(shard)
            source = StoreRecord(str(manifest.root / folder), record_id, name, row)
        yield ListedRecording(record_id, source, patient_id)
