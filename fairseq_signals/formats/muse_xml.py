"""GE MUSE XML (`RestingECG`): base64 samples of each lead, usually of the eight independent leads."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import Record, Subject, parse_age, parse_patient, parse_sex
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import age_between, file_name, malformed, truncated
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.xml import Element, number, parse_xml, text

_TYPES = {1: "<i1", 2: "<i2", 4: "<i4"}


def read_muse_xml(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythm waveform of a MUSE file; its median beats are not read."""
    record_id = file_name(path) if record_id is None else record_id
    root = parse_xml(path, record_id, "RestingECG", "a GE MUSE XML file")
    waveform, n_waveforms = _rhythm(root, record_id, path, options)
    base = number(text(waveform, "SampleBase"))
    exponent = number(text(waveform, "SampleExponent")) or 0.0
    if base is None:
        raise malformed(record_id, path, "it gives no sampling rate (SampleBase)")
    channels = [_channel(lead, record_id, path) for lead in waveform.findall("LeadData")]
    notes = [f"read is one of its {n_waveforms} rhythm waveforms"] * (n_waveforms > 1)
    return assemble(record_id, base * 10.0**exponent, channels, _subject(root), _report(root), notes, options)


def _rhythm(root: Element, record_id: str, path: Path, options: ReadOptions) -> tuple[Element, int]:
    """Of the waveforms that are not of median beats the longest with most leads, and how many there are."""
    waveforms = [w for w in root.findall("Waveform") if text(w, "WaveformType").lower() != "median"]

    def size(waveform: Element) -> tuple[int, float]:
        leads = waveform.findall("LeadData")
        names = options.lead_names.find([text(lead, "LeadID") for lead in leads])
        return len(names), number(text(waveform, "LeadData/LeadSampleCountTotal")) or 0.0

    if not waveforms:
        raise SignalError(
            f"record {record_id}: {path.name} has no rhythm waveform. Export it with waveforms.",
            kind="without a waveform",
        )
    return max(waveforms, key=size), len(waveforms)


def _channel(lead: Element, record_id: str, path: Path) -> Channel:
    name = text(lead, "LeadID")
    width = int(number(text(lead, "LeadSampleSize")) or 2)
    try:
        data = base64.b64decode(text(lead, "WaveFormData").replace(" ", ""), validate=True)
        values = np.frombuffer(data, dtype=_TYPES[width])
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
    age = parse_age(f"{text(person, 'PatientAge')} {text(person, 'AgeUnits')}")
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
