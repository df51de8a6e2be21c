"""SCP-ECG and Philips XML, read with ecgdatakit, which knows their compressions.

Of SCP-ECG (EN 1064, ISO 11073-91064) it reads the rhythm data of section 6: amplitudes, first and second
differences, the default and other Huffman tables, and the subtraction of reference beats. Data that were
decimated between beats ("bimodal") and long-term recordings (section 12) are not read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import LeadNote, Record, Subject, parse_patient, parse_sex, plausible_age
from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import (
    damage_refused,
    file_name,
    of_another_format,
    read_bytes,
    whole_numbers,
)
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

_NOTE = " on Python 3.11 or later"
_exceptions: Any = optional_library("ecgdatakit.exceptions", "SCP-ECG or Philips XML", "formats", _NOTE)
_scp: Any = optional_library("ecgdatakit.parsing.parsers.scp_ecg", "SCP-ECG", "formats", _NOTE)
_philips: Any = optional_library("ecgdatakit.parsing.parsers.sierra_xml", "Philips XML", "formats", _NOTE)

_TOO_SHORT = re.compile(
    r"truncated|too (short|small)|ends after|but the file has|outside the|exceeds|\(unpack"
)


def read_scp(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of the rhythm data of an SCP-ECG file."""
    record_id = file_name(path) if record_id is None else record_id
    if not _scp.SCPECGParser.can_parse(path, read_bytes(record_id, path, 4096)):
        raise of_another_format(record_id, path, "an SCP-ECG file")
    parsed = _parse(_scp.SCPECGParser(), path, record_id)
    starts = {lead.annotations.get("start_sample", "1") for lead in parsed.leads}
    if len(starts) > 1:
        raise SignalError(
            f"record {record_id}: its leads start at different samples ({', '.join(sorted(starts))}), so "
            f"they were not recorded at the same time. Export it with simultaneous leads.",
            kind="with leads of different lengths",
        )
    fs = 1e6 / parsed.raw_metadata["rhythm_sample_interval_us"]
    record = _assemble(parsed, float(np.round(fs, 6)), record_id, options)
    if parsed.raw_metadata.get("checksum_valid") is False:
        wrong = "the checksum of a section does not agree"
        return replace(record, damaged=tuple(LeadNote(lead, wrong) for lead in record.leads))
    return record


def read_philips_xml(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of a Philips XML file (SierraECG 1.03, PhilipsECG 1.04), compressed or not.

    The calibration pulse that carts put at the end, the same in all leads, is cut off.
    """
    from fairseq_signals.formats.xml import parse_xml

    record_id = file_name(path) if record_id is None else record_id
    parse_xml(path, record_id, "restingecgdata", "a Philips XML file")  # for the reason where it is not
    parsed = _parse(_philips.SierraXMLParser(), path, record_id)
    rates = [lead.sampling_rate for lead in parsed.leads]
    _cut_calibration(parsed.leads, float(max(rates, default=0)))
    return _assemble(parsed, float(max(rates, default=0)), record_id, options)


def _is_cut(error: Exception) -> bool:
    return _TOO_SHORT.search(str(error)) is not None


def _parse(parser: Any, path: Path, record_id: str) -> Any:
    """What a parser of ecgdatakit finds in a file."""
    with damage_refused(record_id, f"{path.name} is damaged", is_cut=_is_cut):
        try:
            return parser.parse(path)
        except _exceptions.UnsupportedFormatError as error:
            raise SignalError(
                f"record {record_id}: {path.name}: {error}. Export it without, or in another format.",
                kind="of an unsupported kind",
            ) from None


def _cut_calibration(leads: list, fs: float) -> None:
    """Take off the end of the leads, in place, where at least 0.2 s of it are the same in at least three."""
    lengths = {len(lead.samples) for lead in leads}
    if len(leads) < 3 or len(lengths) > 1:
        return
    samples = np.stack([np.asarray(lead.samples) * lead.resolution for lead in leads])  # (L, T)
    differ = np.flatnonzero((samples != samples[0]).any(axis=0))
    n_kept = int(differ[-1]) + 1 if len(differ) else 0
    if n_kept and samples.shape[1] - n_kept >= 0.2 * fs:
        for lead in leads:
            lead.samples = lead.samples[:n_kept]


def _assemble(parsed: Any, fs: float, record_id: str, options: ReadOptions) -> Record:
    channels = []
    for lead in parsed.leads:
        values, rate = whole_numbers(np.asarray(lead.samples)), float(lead.sampling_rate)
        step, offset = float(lead.resolution), float(lead.offset)
        channel = Channel.in_unit(lead.label, values, step, lead.resolution_unit, offset)
        channels.append(channel._replace(fs=rate if abs(rate - fs) > 1 else None))
    person = parsed.patient
    subject = Subject(
        age=plausible_age(None if person.age is None else float(person.age)),
        sex=parse_sex(person.sex or ""),
        patient_id=parse_patient(person.patient_id or ""),
    )
    lines = [" ".join(str(statement[0]).split()) for statement in parsed.interpretation.statements]
    return assemble(record_id, fs, channels, subject, "\n".join(filter(None, lines)), options=options)
