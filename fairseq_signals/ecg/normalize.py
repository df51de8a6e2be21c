"""The amplitude that a model wants: in mV, scaled, or each lead with mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fairseq_signals.errors import ConfigError

NONE, SEGMENT, RECORD = "none", "segment", "record"
#: Over what each lead is given mean 0 and standard deviation 1.
NORMALIZE = (NONE, SEGMENT, RECORD)
#: What configurations had before there was more than one way.
_BEFORE = {"true": SEGMENT, "false": NONE, "none": NONE}
_STRETCH = 2**18  # samples of a lead of which the moments are taken at once
#: Deviation, in parts of the mean, up to which a lead is constant: the mean of equal numbers is rounded.
_ROUNDING = 1e-12


def parse_normalize(value: Any) -> str:
    """One of `NORMALIZE`; true is "segment", false and None are "none".

    Raises:
        ConfigError: it is none of them.
    """
    if not is_normalize(value):
        raise ConfigError(f"normalize must be one of {', '.join(NORMALIZE)}, but is {value!r}")
    return _found(value)


def is_normalize(value: Any) -> bool:
    """Whether a value is one that `parse_normalize` takes."""
    return _found(value) in NORMALIZE


def _found(value: Any) -> str:
    text = str(value).lower()
    return _BEFORE.get(text, text)


class Moments(NamedTuple):
    """Mean and standard deviation of each lead of a recording, (L, 1) float64; of a constant lead it is 0."""

    mean: np.ndarray
    deviation: np.ndarray


def moments(read: Callable[[int, int], np.ndarray], n_samples: int) -> Moments:
    """The moments (divisor n) of a recording (L, T) that is read a stretch at a time.

    Args:
        read: gives the samples from one to before another, (L, n).
        n_samples: T.
    """
    count = 0
    mean = squares = np.zeros((1, 1))
    for start in range(0, n_samples, _STRETCH):
        part = np.asarray(read(start, min(start + _STRETCH, n_samples)), dtype=np.float64)
        n, its_mean = part.shape[1], part.mean(axis=1, keepdims=True)
        its_squares = np.square(part - its_mean).sum(axis=1, keepdims=True)
        apart = its_mean - mean if count else np.zeros_like(its_mean)
        mean = its_mean if not count else mean + apart * n / (count + n)
        squares = squares + its_squares + apart**2 * count * n / (count + n)
        count += n
    deviation = np.sqrt(squares / count)
    return Moments(mean, np.where(deviation > _ROUNDING * np.abs(mean), deviation, 0))


@dataclass(frozen=True)
class Scaling:
    """What is done to the amplitude of what a model takes.

    Args:
        normalize: over what each lead, by itself, gets mean 0 and standard deviation 1 (divisor n):
            "segment", "record" (the whole recording at the model's rate), or "none". A constant lead becomes
            zeros.
        scale: the model's units in a mV; it makes a difference only where nothing is normalised.

    Raises:
        ConfigError: another `normalize`, or a scale that is not above 0.
    """

    normalize: str = NONE
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "normalize", parse_normalize(self.normalize))
        if not 0 < self.scale < float("inf"):
            raise ConfigError(f"scale must be a number above 0, but is {self.scale!r}")

    @property
    def changes(self) -> bool:
        """Whether anything is done."""
        return self != AS_IT_IS

    def apply(self, signal: np.ndarray, of_record: Moments | None = None) -> np.ndarray:
        """The stretch of a recording (..., L, samples) in mV as the model wants it, float32.

        Args:
            of_record: the recording's moments in mV, for `normalize="record"`.
        """
        if self.normalize == RECORD:
            assert of_record is not None
            mean, deviation = of_record
            per_deviation = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
            signal = (signal - mean) * per_deviation
        elif self.scale != 1:
            signal = signal * self.scale
        signal = signal.astype(np.float32, copy=False)
        return normalize_leads(signal) if self.normalize == SEGMENT else signal


AS_IT_IS = Scaling()


def normalize_leads(signal: np.ndarray) -> np.ndarray:
    """Each lead (..., samples) with mean 0 and standard deviation 1; a constant lead becomes zeros."""
    spread = signal.std(axis=-1, keepdims=True)
    normal = (signal - signal.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1)
    # the mean of equal numbers may be another one, by rounding, and their deviation as large as that error
    normal[(signal == signal[..., :1]).all(axis=-1)] = 0
    return normal
