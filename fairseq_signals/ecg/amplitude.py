"""Whether an amplitude is one that an ECG can have, and what factor would make it one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LARGEST_MV, SMALLEST_MV = 20.0, 0.005  # beyond them it is likely that the unit is another one
ARTEFACTS = 0.01  # share of the samples without which an amplitude is judged
_LIKELY_MV = 0.1, 10.0  # of an ECG once its unit is right
_MANY = 10**6  # samples of a lead, of which fewer are looked at
#: What a factor stands for where samples are not in mV.
_UNITS = {1e3: "V", 1e-3: "µV", 1e-6: "nV"}


class OddAmplitude(NamedTuple):
    """An amplitude that no ECG has.

    Attributes:
        amplitude_mv: half of the range of the widest such lead, for large ones without short artefacts.
        factor: what its samples are likely to lack, 1000 to a power; None where no such factor helps.
        leads: which leads have it; empty where all do.
    """

    amplitude_mv: float
    factor: float | None
    leads: tuple[str, ...] = ()

    def __str__(self) -> str:
        whose = f"the amplitude of {', '.join(self.leads)}" if self.leads else "its amplitude"
        how = "more" if self.amplitude_mv > LARGEST_MV else "less"
        return f"{whose} is {self.amplitude_mv:.4g} mV, {how} than any ECG has: {self.advice()}"

    def advice(self) -> str:
        """What the samples are likely to be, and what to multiply them by: no factor for some leads alone."""
        if self.leads:
            either = "not connected, or " if self.amplitude_mv < SMALLEST_MV else ""
            return f"some leads {either}in another unit than the others?"
        if self.factor is None:
            return "ADC units, of which the gain (adu/mV) is not known?"
        return f"{_UNITS[self.factor]} taken for mV? multiply by {self.factor:g}"


def odd_amplitude(
    signal: np.ndarray, scale: np.ndarray | float = 1.0, leads: Sequence[str] = ()
) -> OddAmplitude | None:
    """What is odd about the amplitude of a recording or of some of its leads, or None.

    Args:
        signal: (L, T) numbers; a lead of zeros is absent.
        scale: mV in one of them; one number, or (L, 1).
        leads: names of the L leads.
    """
    if signal.shape[1] > _MANY:
        signal = signal[:, :: -(-signal.shape[1] // _MANY)]
    factors = np.abs(np.broadcast_to(scale, (len(signal), 1))[:, 0])
    extremes = zip(factors.tolist(), signal.min(axis=1).tolist(), signal.max(axis=1).tolist())
    amplitudes = [factor * (high - low) / 2 for factor, low, high in extremes]
    if all(SMALLEST_MV <= one <= LARGEST_MV for one in amplitudes):
        return None
    amplitude = np.array(amplitudes)  # (L,)
    for row in np.flatnonzero(amplitude > LARGEST_MV):
        around = np.abs(signal[row] - np.median(signal[row])) * factors[row]
        amplitude[row] = np.quantile(around, 1 - ARTEFACTS)
    is_there = amplitude > 0 if amplitude.any() else np.ones(len(amplitude), bool)
    large, small = amplitude > LARGEST_MV, (amplitude < SMALLEST_MV) & is_there
    is_odd = large if large.any() else small
    if not is_odd.any():
        return None
    worst = float(amplitude[is_odd].max())
    likely = (factor for factor in _UNITS if _LIKELY_MV[0] <= worst * factor <= _LIKELY_MV[1])
    some = () if is_odd[is_there].all() else tuple(lead for lead, odd in zip(leads, is_odd) if odd)
    return OddAmplitude(worst, next(likely, None), some)
