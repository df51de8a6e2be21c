"""Whether an amplitude is one that an ECG can have, and what factor would make it one."""

from __future__ import annotations

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
        amplitude_mv: half of the range of the widest lead, for large ones without short artefacts.
        factor: what the samples are likely to lack, 1000 to a power; None where no such factor helps.
    """

    amplitude_mv: float
    factor: float | None

    def __str__(self) -> str:
        how = "more" if self.amplitude_mv > LARGEST_MV else "less"
        return f"its amplitude is {self.amplitude_mv:.4g} mV, {how} than any ECG has: {self.advice()}"

    def advice(self) -> str:
        """What the samples are likely to be, and what to multiply them by."""
        if self.factor is None:
            return "ADC units, of which the gain (adu/mV) is not known?"
        return f"{_UNITS[self.factor]} taken for mV? multiply by {self.factor:g}"


def odd_amplitude(signal: np.ndarray, scale: np.ndarray | float = 1.0) -> OddAmplitude | None:
    """What is odd about the amplitude of a recording, or None.

    Args:
        signal: (L, T) numbers.
        scale: mV in one of them; one number, or (L, 1).
    """
    if signal.shape[1] > _MANY:
        signal = signal[:, :: -(-signal.shape[1] // _MANY)]
    low, high = signal.min(axis=1).astype(float), signal.max(axis=1).astype(float)
    amplitude = float((np.abs(np.broadcast_to(scale, (len(signal), 1))[:, 0]) * (high - low)).max()) / 2
    if amplitude > LARGEST_MV:
        around = np.abs(signal - np.median(signal, axis=1, keepdims=True)) * np.abs(scale)
        amplitude = float(np.quantile(around.max(axis=0), 1 - ARTEFACTS))
    if SMALLEST_MV <= amplitude <= LARGEST_MV:
        return None
    likely = (factor for factor in _UNITS if _LIKELY_MV[0] <= amplitude * factor <= _LIKELY_MV[1])
    return OddAmplitude(amplitude, next(likely, None))
