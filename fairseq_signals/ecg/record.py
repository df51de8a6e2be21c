"""What a record is: leads in canonical order, their scales, whose it is, and what was left out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

DEFAULT_FS = 500.0  # Hz, of stores and of what models are given, where nothing else is said
MIN_FS, MAX_FS = 50.0, 20_000.0  # Hz; outside, the header is wrong or the record is not an ECG

MAX_AGE = 120.0  # years; beyond, a number stands for something else: 300 for "over 89" in PTB-XL
#: What is written where nothing is known.
_UNKNOWN = {
    *("-", "--", "?", "??", "#n/a", "<na>", "n/a", "n.a.", "na", "nan", "none", "null", "unk", "unknown"),
    *("anonymous", "anonymised", "anonymized"),
}
#: How many of a unit are a year, and what it is called in some of the languages that devices speak.
_UNITS = {
    1.0: "a y yr yrs year years yo j jahr jahre an ans anno anni ano anos a\u00f1o a\u00f1os",
    12.0: "m mo mos mon mth mths month months monat monate mois mese mesi mes meses",
    365.25 / 7: "w wk wks week weeks",
    365.25: "d day days",
    8766.0: "h hr hrs hour hours",
}
_PER_YEAR = {"": 1.0, **{unit: per_year for per_year, units in _UNITS.items() for unit in units.split()}}
_AGE_PART = re.compile(r"(-?\d+(?:[.,]\d+)?)\s*([^\W\d_]*)\.?(?:,\s+|\s*)")
_OLD = re.compile(r"\s+(?:old|of age)$")
#: Of an age that is not known: "> 89" is over 89, and "71 M" is of a man as well as of months.
_UNCLEAR = re.compile(r"[<>\u2264\u2265]=?\s*\d+|\d+\s*\+|\d+(?:[.,]\d+)?\s+M")
_CODE_LIST = re.compile(r"[\[{].*[\]}]|\(\s*['\"].*\)", re.DOTALL)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_LONG_WHOLE = re.compile(r"^(\d{6,})\.0$")  # a SNOMED CT code as a float; short ones are ICD-9, such as 427.0
_HAS_DIGIT = re.compile(r".*\d")


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
    """A record, as its reader gives it and a store keeps it.

    Attributes:
        record_id: what the caller calls it.
        fs: sampling rate in Hz.
        leads: canonical names of the usable leads, in canonical order.
        signal: (L, T) int16, or float32 where 16 bits would round what is read exactly, see `ReadOptions`;
            millivolt = signal * scale[:, None] + offset[:, None].
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

    def signal_mv(
        self, start: int = 0, stop: int | None = None, rows: Sequence[int] | None = None
    ) -> np.ndarray:
        """The leads in millivolt, (L, T) float64; or a stretch of them, or some."""
        which = slice(None) if rows is None else list(rows)
        scaled = self.signal[which, start:stop] * self.scale[which, None]
        return scaled if self.offset is None else scaled + self.offset[which, None]

    def of_rows(self, rows: Sequence[int]) -> Record:
        """The record with some of its leads."""
        some = list(rows)
        offset = None if self.offset is None else self.offset[some]
        leads = tuple(self.leads[row] for row in some)
        return replace(self, leads=leads, signal=self.signal[some], scale=self.scale[some], offset=offset)


# --- what files and tables write of a subject ------------------------------------------------------------


def parse_age(text: str) -> float | None:
    """Age in years, as of `years_of`; None where it is not known, or the text is not an age."""
    try:
        return plausible_age(years_of(text))
    except ValueError:
        return None


def years_of(text: str) -> float:
    """Years of "61", "61,5", "018M", "3 d" or "2 years, 6 months"; NaN of "> 89", "71 M" and "NaN".

    Raises:
        ValueError: it is no age.
    """
    if known(text) is None or _UNCLEAR.fullmatch(text.strip()):
        return math.nan
    if text.isdecimal():
        return float(text)
    text = _OLD.sub("", text.strip().lower())
    parts = _AGE_PART.findall(text)
    named = all(unit in _PER_YEAR and (unit or len(parts) == 1) for _, unit in parts)
    if not parts or not named or _AGE_PART.sub("", text):
        raise ValueError(f"no age: {text!r}")
    return sum(float(value.replace(",", ".")) / _PER_YEAR[unit] for value, unit in parts)


def plausible_age(years: float | None) -> float | None:
    """The age where somebody can have it; None for a negative number, 999 or NaN."""
    return years if years is not None and 0 <= years <= MAX_AGE else None


def parse_patient(text: str) -> str | None:
    """Whose a record is, 12 where a table has `12.0`; None where the text says that it is not known."""
    patient = known(text)
    return None if patient is None else plain_number(patient)


def plain_number(text: str) -> str:
    """`13243.0`, as tables written with missing values have it, is 13243."""
    text = text.strip()
    return text.partition(".")[0] if re.fullmatch(r"\d+\.0+", text) else text


def parse_sex(text: str) -> str | None:
    """ "female", "male" or None."""
    return {"f": "female", "female": "female", "m": "male", "male": "male"}.get(text.strip().lower())


def parse_codes(text: str, separators: str = ",;|") -> tuple[str, ...]:
    """Diagnosis codes, each once, in the order given; none for "Unknown".

    They may be separated by one of `separators`, stand on lines of their own, or be a list as Python writes
    it: `['a', 'b']`. Blanks separate them where each has a digit (`426783006 164889003`), as they may be part
    of one that has not ("sinus rhythm"); what a label table knows by such a part, it takes apart itself.
    """
    text = text.strip()
    if text[:1] in ("[", "{", "(") and _CODE_LIST.fullmatch(text):
        quoted = [single or double for single, double in _QUOTED.findall(text)]
        pieces = quoted or re.split(f"[{separators},]", text[1:-1])
    else:
        pieces = re.split(f"[{separators}]", text)
    codes = [code for piece in pieces for line in piece.splitlines() for code in _separate(line.strip())]
    return tuple(dict.fromkeys(code for code in codes if known(code)))


def _separate(text: str) -> list[str]:
    if text.isalnum():
        return [text]
    words = text.replace(",", " ").split()
    codes = words if len(words) > 1 and all(map(_HAS_DIGIT.match, words)) else [text]
    return [_LONG_WHOLE.sub(r"\1", code) for code in codes]


def known(text: str) -> str | None:
    """The text without blanks at its ends; None where it says that nothing is known."""
    text = text.strip()
    return None if not text or text.lower() in _UNKNOWN else text
