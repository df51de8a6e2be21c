"""What the noise transforms share: how noise reaches the leads.

Noise that electrodes pick up reaches the leads through the differences that the leads are: with
`keep_dependency`, the noise of III, aVR, aVL and aVF follows from that of I and II, so that Einthoven's and
Goldberger's relations hold after it where they held before.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, N_LEADS, complete_leads


def draw_leads(draw: Callable[[int], np.ndarray], keep_dependency: bool) -> np.ndarray:
    """Random values of the twelve leads, (12, ...), from a function that draws those of (n_leads, ...).

    Args:
        draw: called once with a number of leads.
        keep_dependency: draw the independent leads only; the others follow from them.
    """
    return complete_leads(draw(len(INDEPENDENT_LEADS))) if keep_dependency else draw(N_LEADS)


def leads_of_zeros(signal_mv: np.ndarray) -> np.ndarray:
    """Which leads of (12, T) are zeros throughout, be they absent or flat: (12,) bool."""
    zeros = signal_mv[:, 0] == 0  # most leads show by their first sample that they are not
    zeros[zeros] = ~signal_mv[zeros].any(axis=1)
    return zeros


class AddedNoise:
    """Base of transforms that add noise; a lead of zeros, absent or flat, stays so."""

    def noise_mv(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Noise of the twelve leads, (12, T) in mV."""
        raise NotImplementedError

    def __call__(self, signal_mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise_mv = self.noise_mv(signal_mv.shape[1], rng).astype(signal_mv.dtype, copy=False)
        noisy = signal_mv + noise_mv
        noisy[leads_of_zeros(signal_mv)] = 0.0
        return noisy
