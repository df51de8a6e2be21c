"""Baseline wander: slow waves of breathing and of the skin (Oh et al., appendix B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairseq_signals.transforms.noise import AddedNoise, draw_leads
from fairseq_signals.transforms.params import check_between, check_choice, check_range, check_types

FREQUENCIES = ("independent", "harmonics")


def sum_of_cosines(
    n_samples: int, fs: float, frequency_hz: np.ndarray, amplitude: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    """sum_k amplitude_k cos(2 pi frequency_k t + phase_k), (T,) float32, of K cosines sampled at fs Hz."""
    time_s = np.arange(n_samples) / fs
    angle = 2 * np.pi * np.outer(frequency_hz, time_s) + phase[:, None]  # (K, T)
    return amplitude.astype(np.float32) @ np.cos(angle.astype(np.float32))  # five times as fast as float64


@dataclass(frozen=True)
class BaselineWander(AddedNoise):
    """Adds c sum_k a_k cos(2 pi f_k t + phi_k) to each lead: one wave for all, c from N(1, 0.5^2) a lead.

    Args:
        fs: sampling rate in Hz.
        min_amplitude_mv, max_amplitude_mv: range of a_k, uniform.
        min_frequency_hz, max_frequency_hz: range of what is drawn of the frequencies, uniform.
        frequencies: "independent": each f_k is drawn, as in the authors' code and so by default; "harmonics":
            one df is drawn and f_k = k df, as in the paper; what the Physio files of `examples/` take.
        n_components: K.
        lead_factor_mean, lead_factor_sd: of c.
        keep_dependency: see `transforms/noise.py`.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "baseline_wander"
    fs: float
    min_amplitude_mv: float = 0.0
    max_amplitude_mv: float = 0.5
    min_frequency_hz: float = 0.01
    max_frequency_hz: float = 0.2
    frequencies: str = "independent"
    n_components: int = 3
    lead_factor_mean: float = 1.0
    lead_factor_sd: float = 0.5
    keep_dependency: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "min_amplitude_mv", "max_amplitude_mv")
        check_choice(self, "frequencies", FREQUENCIES)
        check_between(self, "n_components", 1)
        multiple = self.n_components if self.frequencies == "harmonics" else 1
        check_range(self, "min_frequency_hz", "max_frequency_hz", highest=self.fs / 2 / multiple)
        check_between(self, "lead_factor_sd", 0)

    def noise_mv(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        amplitude = rng.uniform(self.min_amplitude_mv, self.max_amplitude_mv, self.n_components)
        if self.frequencies == "harmonics":
            df = rng.uniform(self.min_frequency_hz, self.max_frequency_hz)
            frequency = df * np.arange(1, self.n_components + 1)
        else:
            frequency = rng.uniform(self.min_frequency_hz, self.max_frequency_hz, self.n_components)
        phase = rng.uniform(0, 2 * np.pi, self.n_components)
        wave = sum_of_cosines(n_samples, self.fs, frequency, amplitude, phase)
        factor = draw_leads(
            lambda n_leads: rng.normal(self.lead_factor_mean, self.lead_factor_sd, n_leads),
            self.keep_dependency,
        )
        return np.outer(factor.astype(np.float32), wave)
