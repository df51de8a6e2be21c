"""What every transform of a segment offers, and how a configuration selects transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Transform(Protocol):
    """A random change of one segment, all of whose randomness comes from the generator it is given."""

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of (12, samples) float32 in mV."""


class Sometimes:
    """Applies a transform with a probability.

    Args:
        transform: what to apply.
        probability: how often, 0 to 1.
    """

    def __init__(self, transform: Transform, probability: float):
        if not 0 <= probability <= 1:
            raise ValueError(f"a transform's probability must be in [0, 1], but is {probability} instead")
        self.transform, self.probability = transform, probability

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.transform(signal_mv, rng) if rng.random() < self.probability else signal_mv


class Compose:
    """Applies transforms one after the other."""

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = tuple(transforms)

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            signal_mv = transform(signal_mv, rng)
        return signal_mv
