"""What a record is: int16 leads in canonical order, their scales, whose it is, and what was left out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

DEFAULT_FS = 500.0  # Hz, of stores and of what models are given, where nothing else is said
MIN_FS, MAX_FS = 50.0, 20_000.0  # Hz; outside, the header is wrong or the record is not an ECG

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Subject:
    """What a file tells about the person and the diagnosis; None or empty where it does not.

    `other` holds the remaining `keyword: value` pairs, values of the same keyword joined with "; ".
    """

    age: float | None = None
    sex: str | None = None
    codes: tuple[str, ...] = ()
    patient_id: str | None = None
    other: tuple[tuple[str, str], ...] = ()


NOBODY = Subject()


class LeadNote(NamedTuple):
    """A lead or channel that is not in the record, and why."""

    lead: str
    reason: str


@dataclass(frozen=True)
class Record:
    """A record, ready to be stored.

    Attributes:
        record_id: what the caller calls it.
        fs: sampling rate in Hz.
        leads: canonical names of the usable leads, in canonical order.
        signal: (L, T) int16; millivolt = signal * scale[:, None] + offset[:, None].
        scale: (L,) float64, mV per stored unit.
        subject: age, sex, codes and patient number, where the file has them.
        faults: leads of the twelve that were left out (constant, missing samples, ...).
        ignored: channels that are not one of the twelve leads.
        damaged: leads of the file whose samples do not add up to the checksum in the header.
        requantised: True where the values did not fit 16 bits and were rounded to 1/32767 of the peak.
        derived: leads that are not in the file and were computed from I and II.
        report: statements about the record, or None.
        amplitude_factor: what the samples of the file were multiplied with.
        notes: what the reader chose, joined or converted, a sentence each.
        offset: (L,) float64, mV of the value 0; None where that is 0 in all leads.
    """

    record_id: str
    fs: float
    leads: tuple[str, ...]
    signal: np.ndarray
    scale: np.ndarray
    subject: Subject = NOBODY
    faults: tuple[LeadNote, ...] = ()
    ignored: tuple[LeadNote, ...] = ()
    damaged: tuple[LeadNote, ...] = ()
    requantised: bool = False
    derived: tuple[str, ...] = ()
    report: str | None = None
    amplitude_factor: float = 1.0
    notes: tuple[str, ...] = ()
    offset: np.ndarray | None = None

    @property
    def n_samples(self) -> int:
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.fs

    def signal_mv(self) -> np.ndarray:
        """The leads in millivolt, (L, T) float64."""
        scaled = self.signal * self.scale[:, None]
        return scaled if self.offset is None else scaled + self.offset[:, None]


# --- what files and tables write of a subject ------------------------------------------------------------


def parse_age(text: str) -> float | None:
    """Age in years; None for "NaN", "Unknown", a negative number or anything else that is not an age."""
    match = _NUMBER.match(text.strip())
    age = float(match[0]) if match else math.nan
    return age if math.isfinite(age) else None


def parse_sex(text: str) -> str | None:
    """ "female", "male" or None."""
    return {"f": "female", "female": "female", "m": "male", "male": "male"}.get(text.strip().lower())


def parse_codes(text: str) -> tuple[str, ...]:
    """Diagnosis codes separated by "," or "|", each once, in the order given; none for "Unknown"."""
    codes = (code.strip() for code in text.replace("|", ",").split(","))
    return tuple(dict.fromkeys(code for code in codes if known(code)))


def known(text: str) -> str | None:
    """The text without blanks at its ends; None where it says that nothing is known."""
    return None if text.strip().lower() in ("", "unknown", "nan", "none", "?", "n/a") else text.strip()
