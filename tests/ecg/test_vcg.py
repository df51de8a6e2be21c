"""The Dower matrices against their published tables, and rotations of the dipole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, complete_leads, derive_limb_leads
from fairseq_signals.ecg.vcg import (
    DOWER,
    DOWER_12,
    inverse_dower_12,
    rotation_matrix,
)

SEEDS = st.integers(0, 2**32 - 1)
INDEPENDENT = [LEADS.index(name) for name in INDEPENDENT_LEADS]
INVERSE_DOWER = inverse_dower_12()[:, INDEPENDENT]


def test_dower_matrix_implies_the_published_rows_of_the_derived_leads():
    """III, aVR, aVL and aVF as tabulated with the matrix by Dower et al. 1980, to three decimals."""
    published = {
        "III": (-0.397, 1.301, -0.191),
        "aVR": (-0.434, -0.415, 0.037),
        "aVL": (0.515, -0.768, 0.125),
        "aVF": (-0.081, 1.184, -0.162),
    }
    for lead, row in published.items():
        np.testing.assert_allclose(DOWER_12[LEADS.index(lead)], row, atol=0.0011)


def test_inverse_dower_matrix_is_the_published_one_to_its_three_decimals():
    """Edenbrandt and Pahlm 1988; columns in the order I, II, V1 to V6."""
    published = [
        [0.156, -0.010, -0.172, -0.074, 0.122, 0.231, 0.239, 0.194],
        [-0.227, 0.887, 0.057, -0.019, -0.106, -0.022, 0.041, 0.048],
        [0.022, 0.102, -0.229, -0.310, -0.246, -0.063, 0.055, 0.108],
    ]
    np.testing.assert_allclose(INVERSE_DOWER, published, atol=0.0006)


def test_inverse_dower_times_dower_is_the_identity():
    np.testing.assert_allclose(INVERSE_DOWER @ DOWER, np.eye(3), atol=1e-14)


def test_matrices_of_twelve_leads_hold_those_of_the_independent_ones():
    np.testing.assert_array_equal(DOWER_12[INDEPENDENT], DOWER)
    assert not np.delete(inverse_dower_12(), INDEPENDENT, axis=1).any()


@given(SEEDS)
def test_leads_of_a_dipole_survive_the_way_to_the_vcg_and_back(seed):
    dipole = np.random.default_rng(seed).normal(size=(3, 20))
    leads = DOWER_12 @ dipole
    np.testing.assert_allclose(inverse_dower_12() @ leads, dipole, atol=1e-12)
    np.testing.assert_allclose(DOWER_12 @ inverse_dower_12() @ leads, leads, atol=1e-12)
    np.testing.assert_allclose(leads[:6], derive_limb_leads(leads[0], leads[1]), atol=1e-12)


@given(SEEDS)
def test_what_no_dipole_explains_is_lost_on_the_way(seed):
    independent = np.random.default_rng(seed).normal(size=(8, 20))
    rebuilt = DOWER @ inverse_dower_12() @ complete_leads(independent)
    np.testing.assert_allclose(DOWER.T @ (independent - rebuilt), 0, atol=1e-12)  # a least-squares fit


@given(SEEDS, st.sets(st.sampled_from(INDEPENDENT), max_size=5))
def test_three_independent_leads_are_enough_for_the_dipole(seed, absent):
    dipole = np.random.default_rng(seed).normal(size=(3, 5))
    leads = DOWER_12 @ dipole
    leads[list(absent)] = 0.0
    matrix = inverse_dower_12(tuple(lead not in absent for lead in range(12)))
    np.testing.assert_allclose(matrix @ leads, dipole, atol=1e-9)


@pytest.mark.parametrize("kept", [(), (0,), (0, 1), (2, 3)])
def test_fewer_leads_give_the_least_dipole_that_explains_them(kept):
    leads = np.zeros(12)
    leads[list(kept)] = 1.0
    dipole = inverse_dower_12(tuple(lead in kept for lead in range(12))) @ leads
    used = [lead for lead in kept if lead in INDEPENDENT]
    np.testing.assert_allclose(DOWER_12[used] @ dipole, leads[used], atol=1e-12)
    # nothing of it is invisible to the leads
    projection = np.linalg.pinv(DOWER_12[used]) @ DOWER_12[used] if used else np.zeros((3, 3))
    np.testing.assert_allclose(projection @ dipole, dipole, atol=1e-12)


@pytest.mark.parametrize(
    ("angles", "before", "after"),
    [
        ((0, 0, 0), (1, 2, 3), (1, 2, 3)),
        ((90, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, 90, 0), (0, 0, 1), (1, 0, 0)),
        ((0, 0, 90), (1, 0, 0), (0, 1, 0)),
        ((0, 0, 45), (1, 0, 0), (np.sqrt(0.5), np.sqrt(0.5), 0)),
        ((90, 0, 90), (0, 1, 0), (0, 0, 1)),  # X before Z
        ((0, 90, 90), (0, 0, 1), (0, 1, 0)),  # Y before Z
    ],
)
def test_a_dipole_is_turned_about_x_then_y_then_z(angles, before, after):
    np.testing.assert_allclose(rotation_matrix(angles) @ before, after, atol=1e-12)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_a_rotation_keeps_lengths_and_handedness(angles):
    rotation = rotation_matrix(angles)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
