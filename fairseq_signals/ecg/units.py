"""Units: millivolt in what files write, and the 16-bit steps that leads are kept in."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

INT16_MAX = 32767
_LONG = 2**20  # samples of a lead: half an hour

_MILLIVOLT = {
    **dict.fromkeys(("mv", "millivolt", "millivolts", "\u043c\u0432", "\u043cv"), 1.0),
    **dict.fromkeys(("uv", "microvolt", "microvolts", "\u043c\u043a\u0432", "\u043c\u043av"), 1e-3),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
}
#: Of the prefixes of volt only the micro sign is not ASCII: this is it, in whatever encoding it was read.
_MICRO = re.compile("[^\0-\x7f]+v(?:olts?)?")
_UNIT_BEHIND = re.compile(r"(.*?)(?:[\s_]*[(\[]\s*([^()\[\]]+?)\s*[)\]]|[\s_,/]+([^\s_,/()\[\]]+))")


def split_unit(name: str) -> tuple[str, str]:
    """A channel's name and what may be its unit, such as "II" and "mV" of "II (mV)"; "" without."""
    match = _UNIT_BEHIND.fullmatch(name.strip())
    return (match[1], match[2] or match[3]) if match is not None else (name.strip(), "")


@lru_cache(maxsize=1024)  # every record of a corpus has the same few
def millivolt_per(unit: str) -> float | None:
    """Millivolt in one physical unit such as "uV", or None where it is not a voltage."""
    said = html.unescape(unit).strip().lower()
    plain = unicodedata.normalize("NFKC", said).lower()  # letters, where there is one sign for mV
    is_micro = _MICRO.fullmatch(said) or _MICRO.fullmatch(plain)
    return _MILLIVOLT.get(plain, 1e-3 if is_micro else None)


class Stored(NamedTuple):
    """A lead (T,) in 16 bits, or exact in float32: millivolt = values * scale + offset.

    Attributes:
        values: (T,) int16 or float32.
        scale: mV per unit.
        offset: mV of the value 0; 0 unless it saves resolution.
        lossy: whether values were rounded.
    """

    values: np.ndarray
    scale: float
    offset: float = 0.0
    lossy: bool = False

    @property
    def is_exact(self) -> bool:
        return self.values.dtype == np.float32

    def mv(self) -> np.ndarray:
        """The lead in mV, (T,) float64."""
        return self.values * np.float64(self.scale) + self.offset


def not_finite(values: np.ndarray) -> str:
    """What stands where samples are missing: "NaN", "inf", or both; NaN as well where a file has a number."""
    found = [name for name, is_such in (("NaN", np.isnan), ("inf", np.isinf)) if is_such(values).any()]
    return " and ".join(found) or "NaN"


def quantise(mv: np.ndarray, lsb_mv: float) -> Stored:
    """A lead (T,) in mV as int16.

    Multiples of `lsb_mv`, the step of the ADC, that fit 16 bits are kept exactly; anything else is rounded to
    1/32767 of the peak. The median is taken off first where that at least halves the step, as of a recording
    whose electrode offset is larger than its ECG.
    """
    if lsb_mv and (whole := _whole(mv, lsb_mv)) is not None:
        return Stored(whole, lsb_mv)
    scale, offset = rounding(float(mv.min()), float(mv.max()), mv)
    if lsb_mv and offset:
        steps = round(offset / lsb_mv) * lsb_mv
        if (whole := _whole(mv - steps, lsb_mv)) is not None:
            return Stored(whole, lsb_mv, steps)
    return Stored(np.rint((mv - offset) / scale).astype(np.int16), scale, offset, lossy=True)


def in_steps(mv: np.ndarray, lsb_mv: float) -> Stored:
    """A lead in steps of the ADC, or half of them: the even ranges of EDF put the zero between two values."""
    whole = quantise(mv, lsb_mv)
    return quantise(mv, lsb_mv / 2) if whole.lossy and lsb_mv else whole


def exactly(mv: np.ndarray) -> Stored:
    """A lead (T,) in mV as it is, in float32; less its median where it is far from 0, as `quantise` does."""
    _, offset = rounding(float(mv.min()), float(mv.max()), mv)
    return Stored((mv - offset).astype(np.float32), 1.0, offset)


def rounding(low: float, high: float, samples: np.ndarray | Sequence[float]) -> tuple[float, float]:
    """Scale and offset, in mV, with which a lead from `low` to `high` fills 16 bits.

    Args:
        samples: of the lead, out of which its median is found where it matters.
    """
    peak = max(-low, high)
    if low < high <= low + peak:  # far from 0
        centre = float(np.median(samples))
        around = max(centre - low, high - centre)
        if around <= peak / 2:
            return around / INT16_MAX, centre
    return peak / INT16_MAX, 0.0


def _whole(mv: np.ndarray, lsb_mv: float) -> np.ndarray | None:
    """The values as multiples of `lsb_mv` in int16, or None where they are not or do not fit."""
    units = mv / lsb_mv
    rounded = np.rint(units)
    fit = np.abs(rounded).max() <= INT16_MAX and np.abs(units - rounded).max() < 1e-3
    return rounded.astype(np.int16) if fit else None


def offsets(leads: Iterable[Stored]) -> np.ndarray | None:
    """The offset of each lead in mV, (L,); None where all are 0."""
    found = [lead.offset for lead in leads]
    return np.array(found) if any(found) else None


def stacked(rows: list[np.ndarray]) -> np.ndarray:
    """The rows (T,) as one array (L, T), of long ones without a copy where they are one: a day is large."""
    whole = rows[0].base  # of numbers in bytes that a file holds, these
    shape = len(rows), len(rows[0])
    if len(rows[0]) < _LONG:  # a copy takes less time than to find out
        return np.array(rows)
    if isinstance(whole, np.ndarray) and whole.shape == shape and whole.dtype == np.int16:
        places = [row.ctypes.data - whole.ctypes.data for row in rows]
        if whole.flags.c_contiguous and places == [k * whole.strides[0] for k in range(len(rows))]:
            return whole
    return np.array(rows)
