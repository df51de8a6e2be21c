"""Baseline shift: for a while, leads lie above or below where they belong (Oh et al., appendix B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Tuple

import numpy as np

from fairseq_signals.transforms.noise import draw_leads, leads_of_zeros
from fairseq_signals.transforms.params import check_between, check_choice, check_range, check_types

AMPLITUDES = ("common", "each_lead")
SPANS = ("normal", "uniform")


def shift_baseline(signal_mv: np.ndarray, shift_mv: np.ndarray, start: int, length: int) -> np.ndarray:
    """A copy of (leads, T) with `shift_mv` (leads,) added to `length` samples from `start`."""
    shifted = signal_mv.copy()
    shifted[:, start : start + length] += shift_mv.astype(signal_mv.dtype)[:, None]
    return shifted


@dataclass(frozen=True)
class BaselineShift:
    """Adds s a to each lead on one span of the segment, the same for all leads: s is -1 or 1 for each lead.

    (The authors' code has s - a.) A lead of zeros stays so. The defaults of `amplitudes` and `span` are the
    authors' code. The paper's shift, from U(-0.5, 0.5) on a span between two random times, is "each_lead" up
    to 0.5 mV and "uniform", as in the Physio files of `examples/`; whether leads share it is left open.

    Args:
        min_amplitude_mv, max_amplitude_mv: range of a, uniform.
        amplitudes: "common": one a for all leads; "each_lead": one for each, so that with a range from 0 a
            lead's shift is uniform between -max_amplitude_mv and max_amplitude_mv.
        span: "normal": its length is from a normal distribution, rounded and cut to the segment, its place
            uniform among those where it fits; "uniform": both ends are uniform over the segment.
        span_mean, span_sd: of the normal length, as shares of the segment's.
        keep_dependency: see `transforms/noise.py`. Off: a shift is not one of electrodes.

    Raises:
        ConfigError: a value out of range; names the key.
    """

    name: ClassVar[str] = "baseline_shift"
    min_amplitude_mv: float = 0.0
    max_amplitude_mv: float = 0.25
    amplitudes: str = "common"
    span: str = "normal"
    span_mean: float = 0.2
    span_sd: float = 0.04
    keep_dependency: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "min_amplitude_mv", "max_amplitude_mv")
        check_choice(self, "amplitudes", AMPLITUDES)
        check_choice(self, "span", SPANS)
        check_between(self, "span_mean", 0, 1)
        check_between(self, "span_sd", 0)

    def draw(self, n_samples: int, rng: np.random.Generator) -> Tuple[np.ndarray, int, int]:
        """A random shift of each lead (12,) in mV, and the start and length of the span."""
        common = rng.uniform(self.min_amplitude_mv, self.max_amplitude_mv)
        start, length = self._draw_span(n_samples, rng)

        def shifts(n_leads: int) -> np.ndarray:
            sign = rng.choice((-1.0, 1.0), n_leads)
            if self.amplitudes == "common":
                return common * sign
            return rng.uniform(self.min_amplitude_mv, self.max_amplitude_mv, n_leads) * sign

        return draw_leads(shifts, self.keep_dependency), start, length

    def _draw_span(self, n_samples: int, rng: np.random.Generator) -> Tuple[int, int]:
        if self.span == "uniform":
            first, last = np.sort(rng.integers(n_samples, size=2)).tolist()
            return first, last - first + 1
        drawn = rng.normal(self.span_mean * n_samples, self.span_sd * n_samples)
        length = min(max(round(drawn), 1), n_samples)
        return int(rng.integers(n_samples - length + 1)), length

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shift_mv, start, length = self.draw(signal_mv.shape[1], rng)
        shift_mv[leads_of_zeros(signal_mv)] = 0.0
        return shift_baseline(signal_mv, shift_mv, start, length)
