"""From probabilities to what is predicted; without scikit-learn, which takes a second to import."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def predicted_classes(probabilities: np.ndarray, threshold: ArrayLike | None) -> np.ndarray:
    """Which classes probabilities (..., C) predict, bool.

    Args:
        threshold: those whose probability is strictly above it, one for all or (C,); None: the most probable
            one, the first of several.
    """
    if threshold is not None:
        return np.asarray(probabilities > np.asarray(threshold))
    return np.arange(probabilities.shape[-1]) == probabilities.argmax(axis=-1)[..., None]
