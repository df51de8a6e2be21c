"""Powerline noise: the mains' hum (Oh et al., appendix B)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from fairseq_signals.transforms.noise import AddedNoise, draw_leads
from fairseq_signals.transforms.params import check_between, check_range, check_types, out_of_range

#: Noise of each lead (12,) where I, II and V1 to V6 have 1, by `keep_dependency`.
_LEAD_FACTOR = {keep: draw_leads(np.ones, keep).astype(np.float32) for keep in (False, True)}


@lru_cache(maxsize=8)
def harmonics(n_samples: int, fs: float, frequency_hz: float, n_harmonics: int) -> np.ndarray:
    """cos(2 pi k f t) for each harmonic k, then the sines: (2 K, T) float32."""
    time_s = np.arange(n_samples) / fs
    angle = 2 * np.pi * frequency_hz * np.outer(np.arange(1, n_harmonics + 1), time_s)
    basis = np.concatenate([np.cos(angle), np.sin(angle)]).astype(np.float32)
    basis.flags.writeable = False  # shared by all who ask
    return basis


@dataclass(frozen=True)
class PowerlineNoise(AddedNoise):
    """Adds sum_k a_k cos(2 pi k f t + phi_k), the same to all leads; phi_k is uniform over the circle.

    With `keep_dependency` it is the same in I, II and V1 to V6, and the other leads have what follows.

    Args:
        fs: sampling rate in Hz.
        min_amplitude_mv, max_amplitude_mv: range of a_k, uniform.
        frequency_hz: f. The authors' code draws 50 or 60 Hz; the paper has 50 Hz.
        n_harmonics: K; 1 is the fundamental alone.
        keep_dependency: see `transforms/noise.py`.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "powerline_noise"
    fs: float
    min_amplitude_mv: float = 0.0
    max_amplitude_mv: float = 0.5
    frequency_hz: float = 50.0
    n_harmonics: int = 1
    keep_dependency: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "min_amplitude_mv", "max_amplitude_mv")
        check_between(self, "n_harmonics", 1)
        highest = self.fs / 2 / self.n_harmonics
        if not 0 < self.frequency_hz < highest:
            wanted = f"above 0 and below {highest:g} (task.sample_rate / 2 / n_harmonics)"
            raise out_of_range(self, "frequency_hz", wanted)

    def noise_mv(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        amplitude = rng.uniform(self.min_amplitude_mv, self.max_amplitude_mv, self.n_harmonics)
        phase = rng.uniform(0, 2 * np.pi, self.n_harmonics)
        # a cos(x + phi) = a cos(phi) cos(x) - a sin(phi) sin(x)
        weight = np.concatenate([amplitude * np.cos(phase), -amplitude * np.sin(phase)])
        basis = harmonics(n_samples, self.fs, self.frequency_hz, self.n_harmonics)
        return np.outer(_LEAD_FACTOR[self.keep_dependency], weight.astype(np.float32) @ basis)
