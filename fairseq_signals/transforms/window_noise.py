"""Noise in place of a window of each lead (SMD-SSL, A. Raghu et al. 2023, arXiv:2307.10923)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairseq_signals.transforms.params import check_between, check_types


def replace_windows(signal_mv: np.ndarray, starts: np.ndarray, noise_mv: np.ndarray) -> np.ndarray:
    """A copy of (leads, T) with noise (leads, n) in place of n samples of each lead from its start (leads,).

    A window that reaches the end goes on at the beginning. The other samples are bit-identical.
    """
    changed = signal_mv.copy()
    places = (starts[:, None] + np.arange(noise_mv.shape[1])) % signal_mv.shape[1]
    np.put_along_axis(changed, places, noise_mv.astype(changed.dtype), axis=1)
    return changed


@dataclass(frozen=True)
class WindowNoise:
    """Replaces a share of each lead's samples by white noise, in one window a lead whose place is uniform.

    Args:
        window_ratio: share of the samples, rounded to whole samples.
        noise_ratio: deviation of the noise in that of the lead. The published code has 0.25 of a unit that
            it does not state.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "window_noise"
    window_ratio: float = 0.25
    noise_ratio: float = 0.25

    def __post_init__(self) -> None:
        check_types(self)
        check_between(self, "window_ratio", 0, 1)
        check_between(self, "noise_ratio", 0, 100)

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n_leads, n_samples = signal_mv.shape
        starts = rng.integers(0, n_samples, (n_leads,))
        noise = rng.standard_normal((n_leads, round(self.window_ratio * n_samples)))
        deviation = signal_mv.std(axis=1, keepdims=True, dtype=np.float64)
        return replace_windows(signal_mv, starts, self.noise_ratio * deviation * noise)
