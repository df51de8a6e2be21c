"""Schiller XML (SEMA, `com.xiriuz.sema.xml.schillerEDI.SchillerEDI`): samples of each lead with commas.

An event holds several `wavedata`: ECG_AVERAGES are averaged beats, ECG_RHYTHMS the recording.
"""

from __future__ import annotations

from pathlib import Path

from fairseq_signals.ecg.record import Record, Subject, parse_patient, parse_sex
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel
from fairseq_signals.formats.common import age_between, file_name, malformed, truncated, whole_numbers
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parts import AVERAGED, Part, assemble_parts, channels_of_each
from fairseq_signals.formats.xml import Element, number, numbers, parse_xml, text

_ROOT, _WHAT = "com.xiriuz.sema.xml.schillerEDI.SchillerEDI", "a Schiller XML file"
_AVERAGES = "ECG_AVERAGES"
_COMMAS = "COMMASEPARATE"


def read_schiller_xml(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythms of a Schiller file; its averaged beats are not read.

    Of several rhythms, `fairseq_signals.formats.parts` says which are read.
    """
    record_id = file_name(path) if record_id is None else record_id
    notes: list[str] = []
    root = parse_xml(path, record_id, _ROOT, _WHAT, notes)
    waves = [one for one in root.iter("wavedata") if one.find("channel") is not None]
    rhythms = [one for one in waves if text(one, "type").upper() != _AVERAGES]
    if not rhythms:
        raise SignalError(
            f"record {record_id}: {path.name}, {_WHAT}, has no rhythm (wavedata of ECG_RHYTHMS). Export it "
            f"with the recording.",
            kind="without a waveform",
        )
    if len(rhythms) < len(waves):
        notes.append(AVERAGED)
    parts = [_part(f"rhythm {n}", one, record_id, path) for n, one in enumerate(rhythms, 1)]
    return assemble_parts(record_id, parts, "rhythms", _subject(root), _report(root), notes, options)


def _part(label: str, waves: Element, record_id: str, path: Path) -> Part:
    fs = number(text(waves, "resolution/samplerate/value"))
    exponent = number(text(waves, "resolution/samplerate/exponent"))
    if fs is None or not fs > 0 or exponent not in (None, 0, 1):
        raise malformed(record_id, path, f"{label} has the sampling rate {fs} with the exponent {exponent}")
    channels = waves.findall("channel")
    n_samples = max((one.findtext("data") or "").rstrip().rstrip(",").count(",") + 1 for one in channels)

    def read() -> list[Channel]:
        return channels_of_each(record_id, channels, _name, lambda one: _channel(one, waves, record_id, path))

    return Part(label, list(map(_name, channels)), fs, n_samples, read)


def _name(channel: Element) -> str:
    return text(channel, "name")


def _channel(channel: Element, waves: Element, record_id: str, path: Path) -> Channel:
    name, written = _name(channel), text(channel, "datastype")
    if written.upper() not in ("", _COMMAS):
        raise SignalError(
            f"record {record_id}: the samples of lead {name} of {path.name} are written as {written}; only "
            f"{_COMMAS} is read.",
            kind="of an unsupported kind",
        )
    try:
        values = whole_numbers(numbers(channel.findtext("data") or ""))
    except ValueError as error:
        raise malformed(record_id, path, f"a sample of lead {name} is not a number ({error})") from error
    announced = number(text(channel, "samplecount"))
    if announced is not None and announced > len(values):
        raise truncated(record_id, path, int(announced), len(values))
    step, unit = (text(waves, f"resolution/yres/{part}") for part in ("unitperbit", "units"))
    return Channel.in_unit(name, values, number(step), unit)


def _subject(root: Element) -> Subject:
    person = root.find("patdata")
    recorded = text(root, "examdescript/startdatetime/date")
    return Subject(
        age=age_between(text(person, "birthdate"), recorded),
        sex=parse_sex(text(person, "gender")),
        patient_id=parse_patient(text(person, "id")),
    )


def _report(root: Element) -> str | None:
    """The lines of the interpretation."""
    interpretations = (one for one in root.iter("textdata") if text(one, "type").upper() == "INTERPRETATION")
    lines = (text(line) for one in interpretations for line in one.findall("textdata"))
    return "\n".join(filter(None, lines)) or None
