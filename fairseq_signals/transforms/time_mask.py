"""Time masking: a window of each lead becomes zeros; the temporal half of 3KG (Gopal et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairseq_signals.transforms.params import check_between, check_types


def mask_windows(signal_mv: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """A copy of (leads, T) with zeros in `length` samples of each lead from its own start (leads,).

    A window that reaches the end goes on at the beginning. The other samples are bit-identical.
    """
    masked = signal_mv.copy()
    n_samples = signal_mv.shape[1]
    for lead, start in zip(masked, starts.tolist()):  # slices: faster than one mask of all leads
        lead[start : start + length] = 0.0
        lead[: max(start + length - n_samples, 0)] = 0.0
    return masked


@dataclass(frozen=True)
class TimeMask:
    """Masks a share of each lead's samples, in one window a lead whose place is uniform.

    Args:
        mask_ratio: share of the samples, rounded to whole samples.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "time_mask"
    mask_ratio: float = 0.5

    def __post_init__(self) -> None:
        check_types(self)
        check_between(self, "mask_ratio", 0, 1)

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n_leads, n_samples = signal_mv.shape
        starts = rng.integers(0, n_samples, (n_leads,))
        return mask_windows(signal_mv, starts, round(self.mask_ratio * n_samples))
