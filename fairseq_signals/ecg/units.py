"""Units: millivolt in what files write, and the 16-bit steps that leads are kept in."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

INT16_MAX = 32767

_MILLIVOLT = {
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts"), 1e-3),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
}


@lru_cache(maxsize=1024)  # every record of a corpus has the same few
def millivolt_per(unit: str) -> float | None:
    """Millivolt in one physical unit such as "uV", or None where it is not a voltage."""
    return _MILLIVOLT.get(unit.strip().lower())


def quantise(mv: np.ndarray, lsb_mv: float) -> tuple[np.ndarray, float, bool]:
    """A lead (T,) in mV as int16, its mV per unit, and whether it lost precision.

    Multiples of `lsb_mv`, the step of the ADC, that fit 16 bits are kept exactly; anything else is rounded to
    1/32767 of the peak.
    """
    if lsb_mv:
        units = mv / lsb_mv
        rounded = np.rint(units)
        if np.abs(rounded).max() <= INT16_MAX and np.abs(units - rounded).max() < 1e-3:
            return rounded.astype(np.int16), lsb_mv, False
    scale = float(np.abs(mv).max()) / INT16_MAX
    return np.rint(mv / scale).astype(np.int16), scale, True
