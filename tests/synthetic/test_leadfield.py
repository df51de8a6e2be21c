import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairseq_signals.ecg.vcg import DOWER
from fairseq_signals.synthetic.leadfield import (
    ELECTRODES_TO_LEADS,
    patient_lead_field,
    shift_electrodes,
    to_adu,
)


@settings(max_examples=50, deadline=None)
@given(arrays(float, (8, 7), elements=st.floats(-40, 40)))
def test_limb_relations_hold_in_every_integer_sample(leads_mv):
    i, ii, iii, avr, avl, avf = to_adu(leads_mv)[:6].astype(int)
    assert np.array_equal(i + iii, ii)
    assert np.array_equal(2 * avr, -(i + ii))
    assert np.array_equal(2 * avl, i - iii)
    assert np.array_equal(2 * avf, ii + iii)
    assert not np.any(avr + avl + avf)


def test_rounding_is_within_one_adu_on_limb_and_half_an_adu_on_chest_leads():
    leads_mv = np.random.default_rng(0).normal(0, 1, (8, 500))
    adu = to_adu(leads_mv, adc_gain=1000)
    assert np.abs(adu[:2] - 1000 * leads_mv[:2]).max() <= 1
    assert np.abs(adu[6:] - 1000 * leads_mv[2:]).max() <= 0.5


def test_a_potential_common_to_all_electrodes_reaches_no_lead():
    np.testing.assert_allclose(ELECTRODES_TO_LEADS @ np.ones(9), 0, atol=1e-12)


def test_noise_of_the_left_leg_reaches_ii_and_a_third_of_it_the_chest():
    leg = np.zeros(9)
    leg[2] = 3.0
    np.testing.assert_allclose(ELECTRODES_TO_LEADS @ leg, [0, 3, -1, -1, -1, -1, -1, -1])


def test_without_spread_the_lead_field_is_the_dower_matrix():
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(shift_electrodes(patient_lead_field(rng, 0.0), rng, 0.0), DOWER)


def test_sessions_move_electrodes_less_than_patients_differ():
    def distance(a, b):
        return np.linalg.norm(a - b)

    fields = [patient_lead_field(np.random.default_rng(p)) for p in range(20)]
    between = np.mean([distance(a, b) for a, b in itertools.pairwise(fields)])
    rng = np.random.default_rng(1)
    within = np.mean([distance(shift_electrodes(f, rng), shift_electrodes(f, rng)) for f in fields])
    assert 0 < within < 0.75 * between


@pytest.mark.parametrize("lead", range(12))
def test_signals_beyond_the_range_are_clipped_and_not_wrapped(lead):
    low, high = to_adu(np.full((8, 1), -100.0)), to_adu(np.full((8, 1), 100.0))
    sign = -1 if lead == 3 else 1  # aVR is inverted
    assert sign * int(high[lead, 0]) >= 0 >= sign * int(low[lead, 0])
