"""EMG noise: what muscles add (Oh et al., appendix B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairseq_signals.transforms.noise import AddedNoise, draw_leads
from fairseq_signals.transforms.params import check_range, check_types


@dataclass(frozen=True)
class EMGNoise(AddedNoise):
    """Adds white noise a n(t) to each lead, n(t) from N(0, 1) in every sample, a drawn for each lead.

    Args:
        min_amplitude_mv, max_amplitude_mv: range of a, uniform.
        keep_dependency: see `transforms/noise.py`.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "emg_noise"
    min_amplitude_mv: float = 0.0
    max_amplitude_mv: float = 0.5
    keep_dependency: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "min_amplitude_mv", "max_amplitude_mv")

    def noise_mv(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        def draw(n_leads: int) -> np.ndarray:
            amplitude = rng.uniform(self.min_amplitude_mv, self.max_amplitude_mv, (n_leads, 1))
            return amplitude.astype(np.float32) * rng.standard_normal((n_leads, n_samples), dtype=np.float32)

        return draw_leads(draw, self.keep_dependency)
