"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1-2004): the rhythm series of an `AnnotatedECG` file.

A lead is a list of digits with an origin and a scale (SLIST_PQ): value = origin + scale * digit. Times are a
head and an increment (GLIST_TS, GLIST_PQ).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import Record, Subject, parse_patient, parse_sex
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel
from fairseq_signals.formats.common import age_between, file_name, malformed, whole_numbers
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parts import AVERAGED, Part, assemble_parts, channels_of_each
from fairseq_signals.formats.xml import Element, number, parse_xml, text

_LEAD = "_ECG_LEAD_"  # MDC_ECG_LEAD_aVR, MINDRAY_ECG_LEAD_V1, ...
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6}
_POINT_IN_TIME = re.compile(r"(\d{8}(?:\d\d){0,3})(\.\d+)?")
_SUBJECT = "componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject"
_STATEMENTS = ("MDC_ECG_INTERPRETATION_STATEMENT", "MDC_ECG_INTERPRETATION_SUMMARY")


def read_aecg(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythm series of an aECG file; its representative beats are not read.

    Of several sets of sequences, `fairseq_signals.formats.parts` says which are read.
    """
    record_id = file_name(path) if record_id is None else record_id
    notes: list[str] = []
    root = parse_xml(path, record_id, "AnnotatedECG", "an HL7 aECG file", notes)
    series = root.findall("component/series")
    rhythms = [one for one in series if _attribute(one, "code", "code").upper() != "REPRESENTATIVE_BEAT"]
    sets = [(one, sequences) for one in rhythms for sequences in one.findall("component/sequenceSet")]
    if not sets:
        raise SignalError(
            f"record {record_id}: {path.name} has no rhythm series with sequences. Leave it out.",
            kind="without a waveform",
        )
    if len(rhythms) < len(series) or any(one.find("derivation/derivedSeries") is not None for one in series):
        notes.append(AVERAGED)
    rates = {rate for _, sequences in sets if (rate := _sampling_rate(sequences))}
    common = rates.pop() if len(rates) == 1 else 0.0  # of sets that do not say it
    parts = [
        _part(f"set {n} of sequences", sequences, _began(one), common, record_id, path)
        for n, (one, sequences) in enumerate(sets, 1)
    ]
    return assemble_parts(
        record_id, parts, "sets of sequences", _subject(root), _report(root), notes, options
    )


def _part(
    label: str, sequence_set: Element, began_s: float | None, fs_else: float, record_id: str, path: Path
) -> Part:
    """A set of sequences of a series that began at a time, s; `fs_else` is its rate where it says none."""
    sequences = sequence_set.findall("component/sequence")
    named = [(name, sequence) for sequence in sequences if (name := _lead_name(sequence))]
    digits = [(sequence.findtext("value/digits") or "").split() for _, sequence in named]
    clock = next((sequence for sequence in sequences if not _lead_name(sequence)), None)
    fs = _sampling_rate(sequence_set) or fs_else

    def read() -> list[Channel]:
        if not fs:
            raise malformed(record_id, path, "no sequence of times with an increment in s, ms or us")
        leads = list(zip(named, digits))
        return channels_of_each(
            record_id,
            leads,
            lambda lead: lead[0][0],
            lambda lead: _channel(lead[0], lead[1], record_id, path),
        )

    n_samples = max(map(len, digits), default=0)
    return Part(label, [name for name, _ in named], fs, n_samples, read, _start(clock, began_s))


def _attribute(element: Element, path: str, name: str) -> str:
    found = element.find(path)
    return "" if found is None else found.get(name, "").strip()


def _lead_name(sequence: Element) -> str:
    """What follows MDC_ECG_LEAD_; "" for a sequence of times."""
    code = _attribute(sequence, "code", "code")
    if code.upper().startswith("TIME_"):
        return ""
    position = code.upper().find(_LEAD)
    return code if position < 0 else code[position + len(_LEAD) :]


def _sampling_rate(sequence_set: Element) -> float:
    """Hz; 0 where no sequence says it."""
    for sequence in sequence_set.findall("component/sequence"):
        increment = number(_attribute(sequence, "value/increment", "value"))
        seconds = _SECONDS.get(_attribute(sequence, "value/increment", "unit"))
        if increment and seconds:
            return float(np.round(1 / (increment * seconds), 6))
    return 0.0


def _began(series: Element) -> float | None:
    return _time(_attribute(series, "effectiveTime/low", "value"))


def _start(clock: Element | None, began_s: float | None) -> float | None:
    """When a sequence of times begins, s: a point in time, or counted from the beginning of its series."""
    if clock is None:
        return None
    head = _attribute(clock, "value/head", "value")
    if _attribute(clock, "code", "code").upper() == "TIME_ABSOLUTE":
        return _time(head)
    relative = number(head)
    seconds = _SECONDS.get(_attribute(clock, "value/head", "unit"), 1.0)
    return None if relative is None else (began_s or 0.0) + relative * seconds


def _time(text: str) -> float | None:
    """Seconds since 1970 of a time such as 20021122091000.000-0500, whose zone is not looked at."""
    match = _POINT_IN_TIME.match(text)
    if match is None:
        return None
    try:
        day = datetime.strptime(match[1].ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return day.timestamp() + float(match[2] or 0)


def _channel(named: tuple[str, Element], digits: Sequence[str], record_id: str, path: Path) -> Channel:
    name, sequence = named
    try:
        values = np.array(list(map(float, digits)))  # several times faster than numpy's own conversion
    except ValueError as error:
        raise malformed(record_id, path, f"a digit of lead {name} is not a number ({error})") from error
    values = whole_numbers(values)
    unit = _attribute(sequence, "value/scale", "unit")
    mv_per_unit = millivolt_per(unit)
    scale = number(_attribute(sequence, "value/scale", "value"))
    if mv_per_unit is None or scale is None:
        return Channel(name, values, None, unit=unit if scale is not None else "")
    origin = number(_attribute(sequence, "value/origin", "value")) or 0.0
    mv_per_origin = millivolt_per(_attribute(sequence, "value/origin", "unit")) or mv_per_unit
    return Channel(name, values, scale * mv_per_unit, origin * mv_per_origin)


def _subject(root: Element) -> Subject:
    subject = root.find(_SUBJECT)
    if subject is None:
        return Subject()
    recorded = next(
        filter(None, (_attribute(root, f"effectiveTime/{name}", "value") for name in ("low", "center"))), ""
    )
    return Subject(
        age=age_between(_attribute(subject, "subjectDemographicPerson/birthTime", "value"), recorded),
        sex=parse_sex(_attribute(subject, "subjectDemographicPerson/administrativeGenderCode", "code")),
        patient_id=parse_patient(_attribute(subject, "id", "extension")),
    )


def _report(root: Element) -> str | None:
    """The interpretation in words, one statement a line."""
    statements = (a for a in root.iter("annotation") if _attribute(a, "code", "code") in _STATEMENTS)
    lines = (text(statement, "value") for statement in statements)
    return "\n".join(dict.fromkeys(filter(None, lines))) or None
