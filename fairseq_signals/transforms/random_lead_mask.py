"""Random lead masking, RLM (Oh et al., Sec. 3.2): whole leads become zeros."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairseq_signals.ecg.leads import CHEST_LEADS, LEADS, LIMB_LEADS
from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.base import mask_leads

SELECTIONS = ("random", "conditional")
_LIMB = [LEADS.index(name) for name in LIMB_LEADS]
_CHEST = [LEADS.index(name) for name in CHEST_LEADS]


class RandomLeadMask:
    """Masks each lead with probability `mask_leads_prob`, or exactly so many limb and chest leads.

    Args:
        mask_leads_selection: "random" or "conditional".
        mask_leads_prob: probability of each lead, independently ("random").
        mask_leads_condition: number of limb leads and of chest leads to mask ("conditional").

    Raises:
        ConfigError: a value out of range; names the key.
    """

    only_masks_leads = True

    def __init__(
        self,
        mask_leads_selection: str = "random",
        mask_leads_prob: float = 0.5,
        mask_leads_condition: Sequence[int] = (4, 5),
    ):
        if mask_leads_selection not in SELECTIONS:
            raise ConfigError(
                f"task.mask_leads_selection must be one of {', '.join(SELECTIONS)}, "
                f"but is {mask_leads_selection!r} instead"
            )
        if not 0 <= mask_leads_prob <= 1:
            raise ConfigError(f"task.mask_leads_prob must be in [0, 1], but is {mask_leads_prob} instead")
        condition = tuple(mask_leads_condition)
        if len(condition) != 2 or not (0 <= condition[0] <= len(_LIMB) and 0 <= condition[1] <= len(_CHEST)):
            raise ConfigError(
                "task.mask_leads_condition must be [limb leads, chest leads] to mask, each 0 to 6, "
                f"but is {list(condition)} instead"
            )
        self.selection, self.probability, self.condition = mask_leads_selection, mask_leads_prob, condition

    def draw(self, n_leads: int, rng: np.random.Generator) -> np.ndarray:
        """A random lead mask, (leads,) bool, True = masked."""
        if self.selection == "random":
            return rng.random(n_leads) < self.probability
        mask = np.zeros(n_leads, dtype=bool)
        for group, count in zip((_LIMB, _CHEST), self.condition):
            mask[rng.choice(group, size=count, replace=False)] = True
        return mask

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return mask_leads(signal_mv, self.draw(len(signal_mv), rng))
