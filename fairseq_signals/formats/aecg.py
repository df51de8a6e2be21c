"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1-2004): the rhythm series of an `AnnotatedECG` file.

A lead is a list of digits with an origin and a scale (SLIST_PQ): value = origin + scale * digit. Times are a
head and an increment (GLIST_TS, GLIST_PQ).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import Record, Subject, parse_patient, parse_sex
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel, assemble, require_leads
from fairseq_signals.formats.common import age_between, file_name, malformed, whole_numbers
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.xml import Element, number, parse_xml, text

_LEAD = "_ECG_LEAD_"  # MDC_ECG_LEAD_aVR, MINDRAY_ECG_LEAD_V1, ...
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6}
_SUBJECT = "componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject"
_STATEMENTS = ("MDC_ECG_INTERPRETATION_STATEMENT", "MDC_ECG_INTERPRETATION_SUMMARY")


def read_aecg(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythm series of an aECG file; its representative beats are not read.

    Where there are several sets of sequences, the one with the most leads is read, the longest of these.
    """
    record_id = file_name(path) if record_id is None else record_id
    root = parse_xml(path, record_id, "AnnotatedECG", "an HL7 aECG file")
    rhythms = [
        series
        for series in root.findall("component/series")
        if _attribute(series, "code", "code").upper() != "REPRESENTATIVE_BEAT"
    ]
    sets = [sequences for series in rhythms for sequences in series.findall("component/sequenceSet")]
    if not sets:
        raise SignalError(
            f"record {record_id}: {path.name} has no rhythm series with sequences. Leave it out.",
            kind="without a waveform",
        )
    chosen = max(sets, key=lambda one: _size(one, options))
    names = [_lead_name(sequence) for sequence in _sequences(chosen)]
    require_leads(record_id, [name for name in names if name], options)
    fs = _sampling_rate(chosen, record_id, path)
    channels = [
        _channel(sequence, name, record_id, path) for sequence, name in zip(_sequences(chosen), names) if name
    ]
    notes = [f"read is set {sets.index(chosen) + 1} of its {len(sets)} sets of sequences"] * (len(sets) > 1)
    return assemble(record_id, fs, channels, _subject(root), _report(root), notes, options)


def _attribute(element: Element, path: str, name: str) -> str:
    found = element.find(path)
    return "" if found is None else found.get(name, "").strip()


def _sequences(sequence_set: Element) -> list[Element]:
    return sequence_set.findall("component/sequence")


def _lead_name(sequence: Element) -> str:
    """What follows MDC_ECG_LEAD_; "" for a sequence of times."""
    code = _attribute(sequence, "code", "code")
    if code.upper().startswith("TIME_"):
        return ""
    position = code.upper().find(_LEAD)
    return code if position < 0 else code[position + len(_LEAD) :]


def _size(sequence_set: Element, options: ReadOptions) -> tuple[int, int]:
    sequences = _sequences(sequence_set)
    digits = [sequence.find("value/digits") for sequence in sequences]
    longest = max((len(d.text or "") for d in digits if d is not None), default=0)
    return len(options.lead_names.find([_lead_name(sequence) for sequence in sequences])), longest


def _sampling_rate(sequence_set: Element, record_id: str, path: Path) -> float:
    for sequence in _sequences(sequence_set):
        increment = number(_attribute(sequence, "value/increment", "value"))
        seconds = _SECONDS.get(_attribute(sequence, "value/increment", "unit"))
        if increment and seconds:
            return float(np.round(1 / (increment * seconds), 6))
    raise malformed(record_id, path, "no sequence of times with an increment in s, ms or us")


def _channel(sequence: Element, name: str, record_id: str, path: Path) -> Channel:
    digits = (sequence.findtext("value/digits") or "").split()
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
