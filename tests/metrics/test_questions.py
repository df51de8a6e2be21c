"""Exact match by hand: all true answers and no other valid one."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.metrics.questions import exact_match, exact_match_by_type


@pytest.mark.parametrize(
    ("label", "scores", "valid", "right"),
    [
        ("110", (0.9, 0.2, 0.1), "111", False),  # a of {a, b}
        ("110", (0.9, 0.6, 0.1), "111", True),
        ("110", (0.9, 0.6, 0.7), "111", False),
        ("110", (0.9, 0.6, 0.7), "110", True),  # c cannot be answered
        ("000", (0.1, 0.5, 0.2), "111", True),  # none; 0.5 is not above
        ("000", (0.1, 0.2, 0.9), "110", True),
        ("000", (0.6, 0.2, 0.1), "110", False),
    ],
)
def test_exact_match_by_hand(label, scores, valid, right):
    def bits(text):
        return np.array([[c == "1" for c in text]])

    assert exact_match(bits(label), np.array([scores]), bits(valid)).tolist() == [right]


def test_each_type_has_its_own_share():
    right = np.array([True, False, True, True])
    found = exact_match_by_type(right, ["b", "a", "b", "a"])
    assert found == {"a": 0.5, "b": 1.0}
    assert list(found) == ["a", "b"]
