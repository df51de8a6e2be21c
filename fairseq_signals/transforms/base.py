"""What every transform of a segment offers, and how a configuration selects transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np


class Transform(Protocol):
    """A random change of one segment, all of whose randomness comes from the generator it is given."""

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of (12, samples) float32 in mV."""


class LeadMasking(Protocol):
    """A transform that does nothing but set whole leads to zero, whatever the signal."""

    only_masks_leads: bool

    def draw(self, n_leads: int, rng: np.random.Generator) -> np.ndarray:
        """The leads that it sets to zero, (leads,) bool; takes as much randomness as the transform itself."""


def lead_masking(transform: Transform) -> LeadMasking | None:
    """The transform, where masking leads is all that it does."""
    return cast(LeadMasking, transform) if getattr(transform, "only_masks_leads", False) else None


def mask_leads(signal_mv: np.ndarray, lead_mask: np.ndarray) -> np.ndarray:
    """(leads, samples) with zeros where `lead_mask` (leads,) is True; the rest and the input stay."""
    if not lead_mask.any():
        return signal_mv
    masked = signal_mv.copy()
    masked[lead_mask] = 0.0
    return masked


def draw_mask(
    masking: LeadMasking, present: np.ndarray, rng: np.random.Generator, keep_a_lead: bool
) -> np.ndarray:
    """The leads to mask, (leads,) bool.

    Args:
        present: (leads,) bool, the leads that there are.
        keep_a_lead: where all of them were drawn, one stays: each as often as another.
    """
    masked = masking.draw(len(present), rng)
    if keep_a_lead and present.any() and not (present & ~masked).any():
        masked[rng.choice(np.flatnonzero(present))] = False
    return masked


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

    @property
    def only_masks_leads(self) -> bool:
        return lead_masking(self.transform) is not None

    def draw(self, n_leads: int, rng: np.random.Generator) -> np.ndarray:
        """As `LeadMasking.draw`."""
        if rng.random() < self.probability:
            return cast(LeadMasking, self.transform).draw(n_leads, rng)
        return np.zeros(n_leads, dtype=bool)


class Compose:
    """Applies transforms one after the other."""

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = tuple(transforms)

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            signal_mv = transform(signal_mv, rng)
        return signal_mv

    def change(
        self, signal_mv: np.ndarray, present: np.ndarray, rng: np.random.Generator, keep_a_lead: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """As the call, with the leads that are present after it.

        Args:
            signal_mv: (12, samples).
            present: (12,) bool, those that were.
            keep_a_lead: see `draw_mask`.
        """
        for transform in self.transforms:
            masking = lead_masking(transform)
            if masking is None:
                signal_mv = transform(signal_mv, rng)
                continue
            masked = draw_mask(masking, present, rng, keep_a_lead)
            signal_mv, present = mask_leads(signal_mv, masked), present & ~masked
        return signal_mv, present

    @property
    def only_masks_leads(self) -> bool:
        return all(lead_masking(transform) is not None for transform in self.transforms)

    def draw(self, n_leads: int, rng: np.random.Generator) -> np.ndarray:
        """As `LeadMasking.draw`."""
        masks = [cast(LeadMasking, transform).draw(n_leads, rng) for transform in self.transforms]
        return (
            np.logical_or.reduce(masks) if len(masks) > 1 else masks[0] if masks else np.zeros(n_leads, bool)
        )
