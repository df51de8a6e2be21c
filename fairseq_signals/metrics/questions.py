"""Exact match of answers to questions (ECG-QA, arXiv:2306.15681, Sec. 4): of several answers, or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def exact_match(
    label: np.ndarray, scores: np.ndarray, valid: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """Which questions are answered right: all answers are given, and no other valid one.

    An answer that is not valid for its question is never given, whatever its probability. Where none is
    true, none must be given.

    Args:
        label: (N, K) bool, the true answers.
        scores: (N, K) probabilities; answers of a larger one than `threshold` are given.
        valid: (N, K) bool, the answers that a question can have.

    Returns:
        (N,) bool.
    """
    return (((scores > threshold) & valid) == label).all(axis=1)


def exact_match_by_type(right: np.ndarray, types: Sequence[str]) -> dict[str, float]:
    """The share of questions of each type that are answered right, types in their order."""
    kinds = np.asarray(types)
    return {kind: float(right[kinds == kind].mean()) for kind in sorted(set(types))}
