"""The column of a table that says when its samples were taken: by its name, for the rate."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.record import MAX_FS, MIN_FS
from fairseq_signals.ecg.units import millivolt_per, split_unit
from fairseq_signals.errors import SignalError

#: Seconds in one unit of time.
SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek", "sekunden"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
}
_WORD = (
    r"(?:elapsed[\s_]*|local[\s_]*|relative[\s_]*)?(?:date[\s_]*)?times?(?:[\s_]*stamps?)?|date|"
    r"zeit(?:stempel)?|temps|tiempo|tempo|t"
)
_COUNT = r"sample|samples|index|idx|row|frame|counter|count|no\.?|nr\.?|n|#|unnamed: ?0|__index_level_0__"
_NAME = re.compile(rf"(?:{_WORD}|{'|'.join(SECONDS)}|(?:{_COUNT})(?:[\s_]*(?:#|no\.?|number|index|num))?)")
_EVEN = 1e-3  # of a step
_LEAST_TOLERANCE = 1e-3  # of a sampling rate that is read from times


class Clock(NamedTuple):
    """What a column of times says.

    Attributes:
        fs: sampling rate in Hz; None where it does not tell, as row numbers do not.
        tolerance: relative, within which another statement agrees with it.
    """

    fs: float | None
    tolerance: float


def names_time(name: str) -> bool:
    """Whether a column of this name holds times or row numbers."""
    return _NAME.fullmatch(_without_unit(name)) is not None


def unit_in_name(name: str) -> str:
    """The unit at the end of a column's name, such as "mV" of "II (mV)" or "ms" of "time_ms"; "" without."""
    text, unit = split_unit(name)
    whole = unit or text
    return whole if whole.lower() in SECONDS or millivolt_per(unit) is not None else ""


def _without_unit(name: str) -> str:
    text = name.strip().lower()
    before, unit = split_unit(text)
    return before if before and unit and unit_in_name(text) else text


def is_even(values: np.ndarray | None) -> bool:
    """Whether values grow by the same step from row to row, as those of no signal do."""
    if values is None or len(values) < 3:
        return False
    steps = np.diff(values.astype(np.float64))
    return bool(steps[0] > 0 and np.abs(steps - steps[0]).max() < _EVEN * steps[0])


def read_clock(where: str, times: np.ndarray, unit: str, granularity: float = 0.0) -> Clock:
    """The sampling rate by a column of times.

    Where nothing says its unit, it is the one by which the rate is possible; numbers that grow by 1 may be
    those of rows.

    Args:
        where: record and file, for messages.
        times: (T,) numbers.
        unit: of time; another one counts for none.
        granularity: to which times are rounded; 0: to be told from them.

    Raises:
        SignalError: a time is missing, or the next one comes too late or before it.
    """
    times = times.astype(np.float64)
    if not np.isfinite(times).all():
        raise _broken(where, f"its row {int(np.flatnonzero(~np.isfinite(times))[0]) + 1} has no time")
    if len(times) < 3:
        return Clock(None, 0)
    steps = np.diff(times)
    step = float(np.median(steps))
    if (np.abs(steps - step) < _EVEN * abs(step)).mean() < 0.9:  # rounded, or not of one rate
        step = float(times[-1] - times[0]) / len(steps)
        granularity = granularity or float(steps[steps > 0].min(initial=abs(step)))
    wrong = np.flatnonzero((steps < 0) | (steps > 1.5 * step + granularity / 2))
    if len(wrong):
        k = int(wrong[0])
        raise _broken(
            where, f"after {times[k]:.9g} in row {k + 1} comes {times[k + 1]:.9g}, but steps are {step:.6g}"
        )
    tolerance = max(_LEAST_TOLERANCE, granularity / max(float(times[-1] - times[0]), step))
    per_second = _per_second(step, unit)
    if per_second is None:
        return Clock(None, 0)
    fs = per_second * len(steps) / float(times[-1] - times[0])
    return Clock(_rounded(fs, tolerance if granularity else 1e-6), tolerance)


def _per_second(step: float, unit: str) -> float | None:
    """How many units of time make a second; None where that is not clear."""
    if unit.lower() in SECONDS:
        return 1 / SECONDS[unit.lower()]
    if step == 1:
        return None
    rates = (1.0, 1e3, 1e6, 1e9)  # by no two of which a rate is possible
    return next((rate for rate in rates if MIN_FS <= rate / step <= MAX_FS), None)


def _rounded(fs: float, tolerance: float) -> float:
    """The whole number that is meant, if one is that near."""
    return float(round(fs)) if abs(fs - round(fs)) <= tolerance * fs else fs


def _broken(where: str, what: str) -> SignalError:
    return SignalError(
        f"{where}: by its column of times {what}: samples are missing. Export it again; where the times mean "
        f"nothing, say so with --lead-names NAME=none, NAME being that column's, and --fs.",
        kind="malformed",
    )
