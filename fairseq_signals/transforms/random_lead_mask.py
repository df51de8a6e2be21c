"""Random lead masking, RLM (Oh et al., Sec. 3.2): whole leads become zeros."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairseq_signals.ecg.leads import CHEST_LEADS, LEADS, LIMB_LEADS
from fairseq_signals.errors import ConfigError
from fairseq_signals.transforms.base import mask_leads

SELECTIONS = ("random", "conditional", "independent")
_LIMB = [LEADS.index(name) for name in LIMB_LEADS]
_CHEST = [LEADS.index(name) for name in CHEST_LEADS]
#: Limb leads to mask, by how many of their two dimensions are masked; a single one of them is one dimension.
_LIMB_TO_MASK = (0, 5, 6)


class RandomLeadMask:
    """Masks each lead with probability `mask_leads_prob`, or so many limb and chest leads.

    The six limb leads have two dimensions, and any two of them give the other four. So "random" masks hide of
    them what can be calculated, unless fewer than two are left: at a probability of 0.5 in 7 of 64 draws.
    "independent" masks each of the eight dimensions (two of the limb, V1 to V6) with `mask_leads_prob`: of
    the limb leads none is masked, or all but one (any of them, equally likely), or all, with the binomial
    probabilities of 0, 1 and 2 of 2. Not in the paper.

    Args:
        mask_leads_selection: "random", "conditional" or "independent".
        mask_leads_prob: probability of each lead ("random") or dimension ("independent"), independently.
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
        counts = self.condition
        if self.selection == "independent":
            counts = _LIMB_TO_MASK[rng.binomial(2, self.probability)], rng.binomial(6, self.probability)
        mask = np.zeros(n_leads, dtype=bool)
        for group, count in zip((_LIMB, _CHEST), counts):
            mask[rng.choice(group, size=count, replace=False)] = True
        return mask

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return mask_leads(signal_mv, self.draw(len(signal_mv), rng))
