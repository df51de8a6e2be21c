"""GE CardioSoft and CASE XML (`CardiologyXML`): strips of leads, each a list of numbers with commas.

`StripData` has SampleRate, Resolution and one WaveformData a lead; MedianSamples are averaged beats. The
FullDisclosure of exercise tests is not read: how its samples follow each other differs by version.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fairseq_signals.ecg.record import Record, Subject, parse_age, parse_patient, parse_sex
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel
from fairseq_signals.formats.common import age_between, file_name, malformed, truncated, whole_numbers
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parts import AVERAGED, Part, assemble_parts, channels_of_each
from fairseq_signals.formats.xml import Element, number, numbers, parse_xml, text

_ROOT, _WHAT = "CardiologyXML", "a GE Cardiology XML file (CardioSoft)"
_UNITS = {"uvperlsb": "uV", "mvperlsb": "mV", "nvperlsb": "nV"}


def read_cardiosoft_xml(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the strips of a CardioSoft file; its median beats are not read.

    Of several strips, `fairseq_signals.formats.parts` says which are read.
    """
    record_id = file_name(path) if record_id is None else record_id
    notes: list[str] = []
    root = parse_xml(path, record_id, _ROOT, _WHAT, notes)
    strips = [strip for strip in root.iter("StripData") if strip.find("WaveformData") is not None]
    if not strips:
        raise SignalError(
            f"record {record_id}: {path.name}, {_WHAT}, has no strip of leads (StripData). Export it with "
            f"its 10-second strips.",
            kind="without a waveform",
        )
    if root.find(".//MedianSamples/WaveformData") is not None:
        notes.append(AVERAGED)
    if root.find("FullDisclosure/FullDisclosureData") is not None:
        notes.append("its full disclosure is not read")
    parts = [_part(f"strip {n}", strip, record_id, path) for n, strip in enumerate(strips, 1)]
    return assemble_parts(record_id, parts, "strips", _subject(root), _report(root), notes, options)


def _part(label: str, strip: Element, record_id: str, path: Path) -> Part:
    leads = strip.findall("WaveformData")
    fs = number(text(strip, "SampleRate"))
    if fs is None or not fs > 0:
        raise malformed(record_id, path, f"{label} gives no sampling rate (SampleRate)")
    n_samples = max((lead.text or "").rstrip().rstrip(",").count(",") + 1 for lead in leads)
    return Part(label, list(map(_name, leads)), fs, n_samples, partial(_channels, strip, record_id, path))


def _channels(strip: Element, record_id: str, path: Path) -> list[Channel]:
    resolution = strip.find("Resolution")
    step = number(text(resolution))
    unit = "" if resolution is None else resolution.get("units", "").strip()
    announced = number(text(strip, "ChannelSampleCountTotal"))

    def read(lead: Element) -> Channel:
        try:
            values = whole_numbers(numbers(lead.text or ""))
        except ValueError as error:
            what = f"a sample of lead {_name(lead)} is not a number ({error})"
            raise malformed(record_id, path, what) from error
        if announced is not None and announced > len(values):
            raise truncated(record_id, path, int(announced), len(values))
        return Channel.in_unit(_name(lead), values, step, _UNITS.get(unit.lower(), unit))

    return channels_of_each(record_id, strip.findall("WaveformData"), _name, read)


def _name(lead: Element) -> str:
    return lead.get("lead", "").strip()


def _subject(root: Element) -> Subject:
    person = root.find("PatientInfo")
    age_of = None if person is None else person.find("Age")
    age = None if age_of is None else parse_age(f"{text(age_of)}{age_of.get('units', '')}")
    if age is None:
        age = age_between(_date(root, "PatientInfo/BirthDateTime"), _date(root, "ObservationDateTime"))
    sex, patient_id = parse_sex(text(person, "Gender")), parse_patient(text(person, "PID"))
    return Subject(age=age, sex=sex, patient_id=patient_id)


def _date(root: Element, place: str) -> str:
    year, month, day = (text(root, f"{place}/{part}") for part in ("Year", "Month", "Day"))
    return f"{year:0>4}-{month:0>2}-{day:0>2}"


def _report(root: Element) -> str | None:
    """The statements of the diagnosis, one a line."""
    lines = (text(line) for line in root.findall("Interpretation/Diagnosis/DiagnosisText"))
    return "\n".join(filter(None, lines)) or None
