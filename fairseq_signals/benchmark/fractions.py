"""Fewer labels: a part of the training patients, the same ones for every method."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fairseq_signals.errors import ConfigError


def fraction_of_patients(patients: Sequence[str], percent: float, seed: int) -> np.ndarray:
    """Which items are of the patients that are drawn, (N,) bool.

    A smaller part lies in each larger one of the same seed. It depends on who the patients are, and neither
    on their order nor on how many items each has.

    Args:
        patients: (N,) of each item.
        percent: of the patients that are drawn, above 0 to 100; rounded up to whole patients.
        seed: of the draw.

    Raises:
        ConfigError: another percentage.
    """
    if not 0 < percent <= 100:
        raise ConfigError(f"a label fraction must be above 0 to 100 (per cent), but is {percent:g}")
    names, person = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    rank = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(rank[person] < math.ceil(len(names) * percent / 100))
