"""EDF, EDF+ and BDF files, read with edfio.

edfio rather than pyedflib: it gives the digital values as they are, is plain Python (so it installs wherever
numpy does), and reads the many files that break a rule of the header, which pyedflib refuses to open.
"""

from __future__ import annotations

import re
import warnings
from datetime import date
from pathlib import Path
from typing import Any

from fairseq_signals.ecg.record import Record, Subject, parse_patient, parse_sex
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.assemble import Channel, assemble, require_leads
from fairseq_signals.formats.common import (
    age_between,
    damage_refused,
    file_name,
    malformed,
    of_another_format,
    read_bytes,
    truncated,
)
from fairseq_signals.formats.limits import require_length
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

edfio: Any = optional_library("edfio", "EDF", "formats")

_EDF, _BDF = b"0       ", b"\xffBIOSEMI"  # the first eight bytes
_SEX = re.compile(r"[MFX]")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def read_edf(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of an EDF, EDF+ or BDF file.

    Signals of other rates than that of the fastest lead are resampled to it. Annotations are not read.
    """
    record_id = file_name(path) if record_id is None else record_id
    head = read_bytes(record_id, path, 256)
    if head[:8] not in (_EDF, _BDF):
        raise of_another_format(record_id, path, "an EDF or BDF file")
    with damage_refused(record_id, f"the header of {path.name} is not as EDF says"):
        edf, notes = _open(path, head)
        signals = list(edf.signals)
        _require_all_records(head, edf, record_id, path)
        _require_continuous(head, edf, record_id, path)
        found = require_leads(record_id, [signal.label for signal in signals], options)
        leads = {one.position for those in found.values() for one in those}
        fs = float(max(signals[position].sampling_frequency for position in leads))
        n_values = len(leads) * edf.num_data_records * edf.data_record_duration * fs
        require_length(record_id, round(n_values), fs, options)
        channels = [_channel(signal, position in leads) for position, signal in enumerate(signals)]
    return assemble(record_id, fs, channels, _subject(head), notes=notes, options=options)


def _open(path: Path, head: bytes) -> tuple[Any, list[str]]:
    """The file as edfio reads it, and what it leaves out."""
    read = edfio.read_bdf if head[:8] == _BDF else edfio.read_edf
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        edf = read(path, header_encoding="latin-1")
        notes = _of_annotations(edf)
    if any("Incomplete data record" in str(one.message) for one in told):
        notes.append("its last data record is not whole and is not read")
    return edf, notes


def _of_annotations(edf: Any) -> list[str]:
    """What is to be said of annotations; the times of data records are none."""
    try:
        n_annotations = len(edf.annotations)
    except (ValueError, IndexError):  # signals can be read without
        return ["its annotations are damaged"]
    return [f"{n_annotations} annotations are not read"] if n_annotations else []


def _channel(signal: Any, is_lead: bool) -> Channel:
    unit = signal.physical_dimension
    mv_per_unit = millivolt_per(unit)
    if mv_per_unit is None or not is_lead:  # only leads are loaded
        return Channel(signal.label, signal.digital[:0] if not is_lead else signal.digital, None, unit=unit)
    try:
        digital_range = signal.digital_max - signal.digital_min
        physical_range = signal.physical_max - signal.physical_min
    except ValueError:  # one of them is no number
        digital_range = physical_range = 0
    if digital_range == 0:
        return Channel(signal.label, signal.digital, 0.0)
    lsb_mv = physical_range / digital_range * mv_per_unit
    # physical_min is what digital_min stands for: EDF, "The additional specifications", 3
    offset_mv = signal.physical_min * mv_per_unit - signal.digital_min * lsb_mv
    if abs(offset_mv) < abs(lsb_mv) * 1e-6:  # symmetric ranges, up to rounding
        offset_mv = 0.0
    return Channel(signal.label, signal.digital, lsb_mv, offset_mv, fs=float(signal.sampling_frequency))


def _require_all_records(head: bytes, edf: Any, record_id: str, path: Path) -> None:
    """Refuse a file with fewer data records than its header announces (-1: unknown), or another layout."""
    announced = int(head[236:244])
    if int(head[184:192]) != 256 * (1 + int(head[252:256])):
        what = f"its header says it has {int(head[184:192])} bytes for {int(head[252:256])} signals"
        raise malformed(record_id, path, what)
    for signal in edf.signals:
        if signal.samples_per_data_record < 0:
            what = f"signal {signal.label} has {signal.samples_per_data_record} samples a data record"
            raise malformed(record_id, path, what)
    n_samples = max((signal.samples_per_data_record for signal in edf.signals), default=0)
    if announced > edf.num_data_records or edf.num_data_records < 1:
        raise truncated(record_id, path, max(announced, 0) * n_samples, edf.num_data_records * n_samples)
    if not edf.data_record_duration > 0:
        raise SignalError(
            f"record {record_id}: its data records last {edf.data_record_duration:g} s in {path.name}, "
            f"so the sampling rate is unknown. Export it again.",
            kind="malformed",
        )


def _require_continuous(head: bytes, edf: Any, record_id: str, path: Path) -> None:
    """Refuse an EDF+D file with gaps between its data records."""
    if head[192:197] in (b"EDF+D", b"BDF+D") and not edf.is_continuous:
        raise SignalError(
            f"record {record_id}: {path.name} is discontinuous ({head[192:197].decode()} with gaps). "
            f"Export its stretches as files of their own.",
            kind="of an unsupported kind",
        )


def _subject(head: bytes) -> Subject:
    """The person, from the patient and recording fields of EDF+: "MCH-0234567 F 02-MAY-1951 Haagse_Harry".

    Before EDF+, the patient field is free text, of which nothing is taken.
    """
    if not head[192:197].startswith((b"EDF+", b"BDF+")):
        return Subject()
    patient = head[8:88].decode("latin-1").split()
    recording = head[88:168].decode("latin-1").split()
    if len(patient) < 3 or not _SEX.fullmatch(patient[1]):
        return Subject()
    started = _day(recording[1]) if len(recording) > 1 and recording[0] == "Startdate" else None
    born = _day(patient[2])
    return Subject(
        age=age_between(born.isoformat(), started.isoformat()) if born and started else None,
        sex=parse_sex(patient[1]),
        patient_id=None if patient[0] == "X" else parse_patient(patient[0].replace("_", " ")),
    )


def _day(text: str) -> date | None:
    """A date such as 02-MAY-1951; None where the year has two digits, as its century is not known."""
    try:
        day, month, year = text.split("-")
        return date(int(year) if len(year) == 4 else 0, _MONTHS.index(month.upper()) + 1, int(day))
    except ValueError:
        return None
