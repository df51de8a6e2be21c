"""What the parsers of ecgdatakit find in a file, as a record: shared by the formats that it reads for us."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import LeadNote, Record, Subject, parse_patient, parse_sex, plausible_age
from fairseq_signals.errors import SignalError, optional_library
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import damage_refused, whole_numbers
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.parts import AVERAGED

_NOTE = " on Python 3.11 or later"
_TOO_SHORT = re.compile(
    r"truncated|too (short|small)|ends after|but the file has|outside the|exceeds|\(unpack|past the end"
    r"|only \d+ remain"
)
_NUMBERED = re.compile(r"_\d+$")
_TOLD = re.compile(r"not loaded|skipped|ignored|left out|default|missing|shorter than|not a valid")


def parser(module: str, name: str, needed_by: str) -> Any:
    """A parser class of ecgdatakit.

    Raises:
        MissingLibraryError: the library is not installed, or this is Python 3.10.
    """
    return getattr(
        optional_library(f"ecgdatakit.parsing.parsers.{module}", needed_by, "formats", _NOTE), name
    )


def parse(parser: Any, path: Path, record_id: str) -> tuple[Any, list[str]]:
    """What a parser finds in a file, and what it says that it leaves out or takes for granted.

    Raises:
        SignalError: it finds the file damaged, or of a variant that it does not read.
    """
    exceptions: Any = optional_library("ecgdatakit.exceptions", parser.FORMAT_NAME, "formats", _NOTE)
    with damage_refused(record_id, f"{path.name} is damaged", is_cut=_is_cut):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                parsed = parser().parse(path)
        except exceptions.UnsupportedFormatError as error:
            raise SignalError(
                f"record {record_id}: {path.name}: {error}. Export it without, or in another format.",
                kind="of an unsupported kind",
            ) from None
    labels = {lead.label for lead in parsed.leads}
    for lead in parsed.leads:  # the library numbers those of one name
        first = _NUMBERED.sub("", lead.label)
        lead.label = first if first in labels else lead.label
    told = [str(warning.message) for warning in caught]
    return parsed, [*([AVERAGED] if parsed.median_beats else []), *filter(_TOLD.search, told)]


def _is_cut(error: Exception) -> bool:
    return _TOO_SHORT.search(str(error)) is not None


def record_of(
    parsed: Any,
    fs: float,
    record_id: str,
    options: ReadOptions = DEFAULTS,
    notes: Sequence[str] = (),
    missing: int | None = None,
) -> Record:
    """The record of what was parsed.

    Args:
        fs: of the record, Hz; leads of another rate are resampled to it.
        notes: what there is to say of it.
        missing: the value where there is no sample.
    """
    channels = channels_of(parsed.leads, fs, missing)
    record = assemble(record_id, fs, channels, subject_of(parsed), report_of(parsed), notes, options)
    return with_checksum(record, parsed)


def with_checksum(record: Record, parsed: Any) -> Record:
    """The record, all its leads damaged where a checksum of the file is wrong."""
    if parsed.raw_metadata.get("checksum_valid") is not False:
        return record
    wrong = "the checksum of a section does not agree"
    return replace(record, damaged=tuple(LeadNote(lead, wrong) for lead in record.leads))


def channels_of(leads: Sequence[Any], fs: float, missing: int | None = None) -> list[Channel]:
    """The channels of parsed leads; `fs` is the rate of the record."""
    channels = []
    for lead in leads:
        values, rate = whole_numbers(np.asarray(lead.samples)), float(lead.sampling_rate)
        step, offset = float(lead.resolution), float(lead.offset)
        channel = Channel.in_unit(lead.label, values, step, lead.resolution_unit, offset)
        channels.append(channel._replace(fs=rate if abs(rate - fs) > 1 else None, missing=missing))
    return channels


def subject_of(parsed: Any) -> Subject:
    """The person."""
    person = parsed.patient
    return Subject(
        age=plausible_age(None if person.age is None else float(person.age)),
        sex=parse_sex(person.sex or ""),
        patient_id=parse_patient(person.patient_id or ""),
    )


def report_of(parsed: Any) -> str:
    """The statements in words, one a line."""
    lines = [" ".join(str(statement[0]).split()) for statement in parsed.interpretation.statements]
    return "\n".join(filter(None, lines))
