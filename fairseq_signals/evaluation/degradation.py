"""Worse recordings than a model is tested on: of a lower sampling rate, or with noise. Written `12@100Hz`.

A degradation stands behind a lead set, after `@`: `100Hz`, or a noise and its signal-to-noise ratio, such as
`emg12dB`, `wander0dB`, `powerline-6dB`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.baseline_wander import BaselineWander
from fairseq_signals.transforms.emg_noise import EMGNoise
from fairseq_signals.transforms.noise import AddedNoise
from fairseq_signals.transforms.powerline_noise import PowerlineNoise

AT = "@"
RATE, EMG, WANDER, POWERLINE = "rate", "emg", "wander", "powerline"
LOWEST_HZ, HIGHEST_DB = 10.0, 100.0
_SEED = 2021
#: The noise of each kind at a sampling rate; how much of it there is, is set afterwards.
_NOISES: dict[str, Callable[[float], AddedNoise]] = {
    EMG: lambda fs: EMGNoise(1.0, 1.0, keep_dependency=False),
    WANDER: lambda fs: BaselineWander(fs, keep_dependency=False),
    POWERLINE: lambda fs: PowerlineNoise(fs, 1.0, 1.0, keep_dependency=False),
}
NOISES = tuple(_NOISES)
_WRITTEN = re.compile(rf"(?:({'|'.join(NOISES)})(-?\d+(?:\.\d+)?)dB|(\d+(?:\.\d+)?)Hz)")


@dataclass(frozen=True)
class Degradation:
    """What is done to recordings before a model is given them.

    Attributes:
        kind: "rate", or one of `NOISES`.
        level: the rate in Hz, or the signal-to-noise ratio in dB.
    """

    kind: str
    level: float

    def __str__(self) -> str:
        return f"{self.level:g}Hz" if self.kind == RATE else f"{self.kind}{self.level:g}dB"

    def check(self, fs: float) -> None:
        """Raise ConfigError where recordings of a model's rate cannot be degraded so."""
        if self.kind == RATE and not LOWEST_HZ <= self.level <= fs:
            raise ConfigError(
                f"{self}: the model takes {fs:g} Hz, so a lower rate is one from {LOWEST_HZ:g} Hz to that"
            )
        if not shows(self.kind, fs):
            raise ConfigError(
                f"{self}: the hum has {PowerlineNoise.frequency_hz:g} Hz, which recordings of {fs:g} Hz "
                f"do not show; choose {EMG} or {WANDER}"
            )
        if self.kind != RATE and abs(self.level) > HIGHEST_DB:
            raise ConfigError(f"{self}: the ratio must be {-HIGHEST_DB:g} to {HIGHEST_DB:g} dB")

    def changes(self, fs: float) -> bool:
        """Whether it does anything to recordings of a rate."""
        return (self.kind, self.level) != (RATE, fs)

    def __call__(self, signal_mv: np.ndarray, fs: float, record_id: str, segment: int) -> np.ndarray:
        """A degraded copy of a segment (12, T) in mV, float64.

        Of a rate: the segment at that rate, and at its own again. Noise: each lead gets its own amount, the
        mean square of signal over that of noise, both about their means. An absent or flat lead gets none.
        The noise of a segment depends on its record and number alone, at all levels the same but for its
        size.
        """
        if self.kind == RATE:
            return resample(resample(signal_mv, fs, self.level), self.level, fs)[:, : signal_mv.shape[1]]
        rng = np.random.default_rng([_SEED, zlib.crc32(record_id.encode()), segment])
        noise = _NOISES[self.kind](fs).noise_mv(signal_mv.shape[1], rng).astype(np.float64)
        noise -= noise.mean(axis=1, keepdims=True)
        wanted = np.var(signal_mv, axis=1, dtype=np.float64) * 10 ** (-self.level / 10)
        power = np.square(noise).mean(axis=1)
        gain = np.sqrt(np.divide(wanted, power, out=np.zeros_like(wanted), where=power > 0))
        return signal_mv + gain[:, None] * noise


def shows(noise: str, fs: float) -> bool:
    """Whether recordings of a rate show a noise of `NOISES`: hum is above the bandwidth of slow ones."""
    return noise != POWERLINE or fs > 2 * PowerlineNoise.frequency_hz


def parse_degradation(text: str) -> Degradation:
    """What stands behind the `@` of a lead set.

    Raises:
        ConfigError: it is none.
    """
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise ConfigError(
            f"{text!r} is no degradation: a sampling rate, such as 100Hz, or a noise ({', '.join(NOISES)}) "
            f"and its signal-to-noise ratio, such as {EMG}12dB"
        )
    noise, ratio, rate = found.groups()
    return Degradation(noise, float(ratio)) if noise else Degradation(RATE, float(rate))


def degradation_of(lead_set: str, fs: float) -> Degradation | None:
    """What a lead set is degraded by in a model of a sampling rate; None: nothing.

    Raises:
        ConfigError: it cannot be.
    """
    _, at, text = lead_set.partition(AT)
    if not at:
        return None
    found = parse_degradation(text)
    found.check(fs)
    return found if found.changes(fs) else None
