"""The training patients whose labels are used: nested, drawn by seed, whatever the order."""

from itertools import pairwise

import numpy as np
import pytest

from fairseq_signals.benchmark.fractions import fraction_of_patients
from fairseq_signals.errors import ConfigError

PATIENTS = np.array([f"p{i % 130}" for i in range(400)])


def test_a_smaller_part_lies_in_a_larger_one():
    parts = [fraction_of_patients(PATIENTS, percent, 3) for percent in (1, 10, 50, 100)]
    assert [len(set(PATIENTS[part])) for part in parts] == [2, 13, 65, 130]
    for smaller, larger in pairwise(parts):
        assert (larger | ~smaller).all()
    assert parts[-1].all()


def test_a_patient_is_in_it_with_all_recordings_or_none():
    chosen = fraction_of_patients(PATIENTS, 10, 3)
    assert not set(PATIENTS[chosen]) & set(PATIENTS[~chosen])


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    chosen = fraction_of_patients(PATIENTS, 10, 3)
    np.testing.assert_array_equal(fraction_of_patients(PATIENTS[::-1], 10, 3), chosen[::-1])
    assert (fraction_of_patients(PATIENTS, 10, 4) != chosen).any()


@pytest.mark.parametrize("percent", [0, -1, 101, float("nan")])
def test_a_part_is_above_nothing_and_at_most_all(percent):
    with pytest.raises(ConfigError, match=r"label fraction must be above 0 to 100"):
        fraction_of_patients(PATIENTS, percent, 3)
