"""GE MUSE XML (`RestingECG`): base64 samples of each lead, usually of the eight independent leads."""

from __future__ import annotations

import binascii
from functools import partial
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import Record, Subject, parse_age, parse_patient, parse_sex
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel
from fairseq_signals.formats.common import age_between, file_name, malformed, truncated
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parts import AVERAGED, Part, assemble_parts, channels_of_each
from fairseq_signals.formats.xml import Element, decode_base64, number, parse_xml, text

_TYPES = {1: "<i1", 2: "<i2", 4: "<i4"}


def read_muse_xml(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythm waveforms of a MUSE file; its median beats are not read.

    Of several waveforms, `fairseq_signals.formats.parts` says which are read.
    """
    record_id = file_name(path) if record_id is None else record_id
    notes: list[str] = []
    root = parse_xml(path, record_id, "RestingECG", "a GE MUSE XML file", notes)
    waveforms = root.findall("Waveform")
    rhythms = [w for w in waveforms if text(w, "WaveformType").lower() != "median"]
    if not rhythms:
        raise SignalError(
            f"record {record_id}: {path.name} has no rhythm waveform. Export it with waveforms.",
            kind="without a waveform",
        )
    if len(rhythms) < len(waveforms):
        notes.append(AVERAGED)
    parts = [part for n, one in enumerate(rhythms, 1) for part in _parts(one, n, record_id, path)]
    return assemble_parts(record_id, parts, "rhythm waveforms", _subject(root), _report(root), notes, options)


def _parts(waveform: Element, position: int, record_id: str, path: Path) -> list[Part]:
    """The leads of a waveform by when they start and how many samples they have."""
    base = number(text(waveform, "SampleBase"))
    exponent = number(text(waveform, "SampleExponent")) or 0.0
    fs = 0.0 if base is None else base * 10.0 ** min(exponent, 30.0)
    start_ms = number(text(waveform, "WaveformStartTime")) or 0.0
    by_time: dict[tuple[float, int], list[Element]] = {}
    for lead in waveform.findall("LeadData"):
        after_ms = number(text(lead, "LeadTimeOffset")) or 0.0
        by_time.setdefault((start_ms + after_ms, _n_samples(lead)), []).append(lead)

    def read(leads: list[Element]) -> list[Channel]:
        if base is None:
            raise malformed(record_id, path, "it gives no sampling rate (SampleBase)")
        return channels_of_each(record_id, leads, _name, lambda lead: _channel(lead, record_id, path))

    label = f"rhythm waveform {position}"
    return [
        Part(label, list(map(_name, leads)), fs, n_samples, partial(read, leads), start / 1000)
        for (start, n_samples), leads in (by_time or {(0.0, 0): []}).items()
    ]


def _name(lead: Element) -> str:
    return text(lead, "LeadID")


def _n_samples(lead: Element) -> int:
    """How many samples a lead announces, or as many as its base64 may hold."""
    announced = number(text(lead, "LeadSampleCountTotal"))
    return len(text(lead, "WaveFormData")) * 3 // 4 // _width(lead) if announced is None else int(announced)


def _width(lead: Element) -> int:
    return int(number(text(lead, "LeadSampleSize")) or 2)


def _channel(lead: Element, record_id: str, path: Path) -> Channel:
    name = _name(lead)
    width = _width(lead)
    try:
        values = np.frombuffer(decode_base64(text(lead, "WaveFormData")), dtype=_TYPES[width])
    except (binascii.Error, KeyError, ValueError) as error:
        raise malformed(
            record_id, path, f"the samples of lead {name} are not {width}-byte integers in base64 ({error})"
        ) from error
    announced = number(text(lead, "LeadSampleCountTotal"))
    if announced is not None and announced > len(values):
        raise truncated(record_id, path, int(announced), len(values))
    step = number(text(lead, "LeadAmplitudeUnitsPerBit"))
    return Channel.in_unit(name, values, step, text(lead, "LeadAmplitudeUnits"))


def _subject(root: Element) -> Subject:
    person = root.find("PatientDemographics")
    age = parse_age(f"{text(person, 'PatientAge')}{text(person, 'AgeUnits')}")
    if age is None:
        born, recorded = text(person, "DateofBirth"), text(root, "TestDemographics/AcquisitionDate")
        age = age_between(_iso_date(born), _iso_date(recorded))
    sex, patient_id = parse_sex(text(person, "Gender")), parse_patient(text(person, "PatientID"))
    return Subject(age=age, sex=sex, patient_id=patient_id)


def _iso_date(date: str) -> str:
    """MUSE writes dates as MM-DD-YYYY."""
    month, _, rest = date.replace("/", "-").partition("-")
    day, _, year = rest.partition("-")
    return f"{year}-{month:0>2}-{day:0>2}"


def _report(root: Element) -> str | None:
    """The statements of the diagnosis, one a line: a line ends with the flag ENDSLINE."""
    lines: list[str] = []
    line: list[str] = []
    for statement in root.findall("Diagnosis/DiagnosisStatement"):
        line.append(text(statement, "StmtText"))
        flags = [text(flag).upper() for flag in statement.findall("StmtFlag")]
        if "ENDSLINE" in flags:
            lines.append(" ".join(filter(None, line)))
            line = []
    lines.append(" ".join(filter(None, line)))
    return "\n".join(filter(None, lines)) or None
