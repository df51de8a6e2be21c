"""When recordings were taken, what lies between two of them, and which are compared.

Recordings of one day are one session.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Callable, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.manifest.where import Column, attribute_values

#: Stands for the first of `TIMES` that a record has.
ACQUIRED = "acquired"
#: Attributes that tell it: of anybody's headers, PTB-XL, MIMIC-IV-ECG (shifted alike for all of a subject),
#: ECG-ID and PTB.
TIMES = (ACQUIRED, "recording_date", "ecg_time", "ECG date")
_DAY_FIRST = re.compile(r"(\d\d?)[./](\d\d?)[./](\d{4})")
SAME_RECORDING, UNKNOWN_GAP = "same recording", "unknown"
_DAYS = (1, 30, 365, 1826)  # from which a gap is the next one
GAPS = (SAME_RECORDING, "same day", "<1 month", "<1 year", "1-5 years", ">5 years", UNKNOWN_GAP)

T = TypeVar("T")
#: Two recordings that the seed draws, and two segments of one.
TWO_RECORDINGS, WITHIN_SESSION = "two_recordings", "within_session"
#: By name: gallery and probe of a patient, out of the recordings of each day, all in the order of time.
PROTOCOLS: Mapping[str, Callable[[list[list[T]]], tuple[list[T], list[T]]]] = {
    "first_vs_second": lambda days: (days[0][:1], days[1][:1]),
    "first_vs_last": lambda days: (days[0][:1], days[-1][-1:]),
    "all_vs_last": lambda days: ([each for day in days[:-1] for each in day], days[-1][-1:]),
}


def acquired_texts(table: pa.Table) -> Column:
    """When each record was taken, as its corpus writes it; null where nothing tells."""
    return pc.coalesce(*(attribute_values(table, name) for name in TIMES))


def parse_time(text: str | None) -> datetime | None:
    """A date with or without a time, as 2004-12-07 10:15:00, or as 07.12.2004; None where it is none."""
    try:
        return datetime.fromisoformat(_DAY_FIRST.sub(_year_first, text or "")).replace(tzinfo=None)
    except ValueError:
        return None


def _year_first(match: re.Match[str]) -> str:
    day, month, year = match.groups()
    return f"{year}-{int(month):02d}-{int(day):02d}"


def days_of(times: Mapping[T, datetime]) -> list[list[T]]:
    """What was taken on each day, all in the order of time, and at one time in the order of names."""
    order = sorted(times, key=lambda name: (times[name], name))
    return [list(day) for _, day in groupby(order, key=lambda name: times[name].date())]


def gap_between(probe: datetime | None, gallery: Sequence[datetime | None]) -> str:
    """Of `GAPS`, the time from a probe to the nearest of a patient's recordings in the gallery."""
    days = [abs((probe.date() - time.date()).days) for time in gallery if probe and time]
    return GAPS[1 + bisect_right(_DAYS, min(days))] if days else UNKNOWN_GAP
