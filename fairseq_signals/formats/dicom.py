"""DICOM waveforms (12-lead ECG, general ECG, ambulatory ECG), read with pydicom."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from fairseq_signals.ecg.record import Record, Subject, parse_age, parse_patient, parse_sex
from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.common import (
    age_between,
    damage_refused,
    file_name,
    of_another_format,
    read_bytes,
)
from fairseq_signals.formats.detect import is_dicom
from fairseq_signals.formats.dicom_group import Group
from fairseq_signals.formats.library_limits import require_dicom
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parts import AVERAGED, Part, assemble_parts

pydicom: Any = optional_library("pydicom", "DICOM", "formats")

_AVERAGE = re.compile(r"median|average|mean beat|representative|template", re.IGNORECASE)


def read_dicom(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of a DICOM waveform object, with or without preamble and file meta information.

    Of several multiplex groups, `fairseq_signals.formats.parts` says which are read.
    """
    record_id = file_name(path) if record_id is None else record_id
    if not is_dicom(read_bytes(record_id, path, 4096)):
        raise of_another_format(record_id, path, "a DICOM file")
    what = f"{path.name} is not a whole DICOM file"
    with damage_refused(record_id, what, is_cut=lambda error: isinstance(error, EOFError)):
        data = read_bytes(record_id, path)
        require_dicom(data)
        return _read(pydicom.dcmread(io.BytesIO(data), force=True), record_id, path, options)


def _read(dataset: Any, record_id: str, path: Path, options: ReadOptions) -> Record:
    groups = list(dataset.get("WaveformSequence") or ())
    if not groups:
        document = dataset.get("MIMETypeOfEncapsulatedDocument")
        holds = f"a document ({document})" if document else f"modality {dataset.get('Modality', 'unknown')}"
        raise SignalError(
            f"record {record_id}: {path.name} has no waveform, but {holds}. Leave it out.",
            kind="without a waveform",
        )
    averaged = [_AVERAGE.search(str(group.get("MultiplexGroupLabel") or "")) is not None for group in groups]
    if all(averaged):
        raise SignalError(
            f"record {record_id}: it holds only averaged beats, no recording. Leave it out.",
            kind="without a waveform",
        )
    is_big_endian = dataset.original_encoding[1] is False
    parts: list[Part] = []
    notes = [AVERAGED] if any(averaged) else []
    for n, group in enumerate(groups, 1):
        if not averaged[n - 1]:
            label = " ".join(str(group.get("MultiplexGroupLabel") or "").split())
            label = f"multiplex group {n}" + (f" ({label})" if label else "")
            parts += Group(label, group, is_big_endian, record_id, path, notes).parts()
    return assemble_parts(
        record_id, parts, "multiplex groups", _subject(dataset), _report(dataset), notes, options
    )


def _subject(dataset: Any) -> Subject:
    age = parse_age(str(dataset.get("PatientAge") or ""))
    if age is None:
        recorded = (
            dataset.get("AcquisitionDateTime") or dataset.get("AcquisitionDate") or dataset.get("StudyDate")
        )
        age = age_between(str(dataset.get("PatientBirthDate") or ""), str(recorded or ""))
    return Subject(
        age=age,
        sex=parse_sex(str(dataset.get("PatientSex") or "")),
        patient_id=parse_patient(str(dataset.get("PatientID") or "")),
    )


def _report(dataset: Any) -> str | None:
    """The statements in words among the annotations, one a line."""
    texts = (a.get("UnformattedTextValue") for a in dataset.get("WaveformAnnotationSequence") or ())
    lines = (" ".join(str(text or "").split()) for text in texts)
    return "\n".join(filter(None, lines)) or None
