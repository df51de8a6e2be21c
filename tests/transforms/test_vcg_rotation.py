"""Rotation in the space of the vectorcardiogram: dipoles turn, what is no dipole stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, complete_leads, derive_limb_leads
from fairseq_signals.ecg.vcg import DOWER, DOWER_12, inverse_dower_12, rotation_matrix
from fairseq_signals.transforms.vcg_rotation import VCGRotation, change_vcg

INDEPENDENT = [LEADS.index(name) for name in INDEPENDENT_LEADS]
NOTHING = {"max_angle_deg": 0.0, "min_scale": 1.0, "max_scale": 1.0}


def dipole_signal(seed: int, n_samples: int = 30) -> np.ndarray:
    return (DOWER_12 @ np.random.default_rng(seed).normal(0, 0.5, (3, n_samples))).astype(np.float32)


def test_angle_zero_and_scale_one_give_the_input_back(segment):
    assert np.array_equal(VCGRotation(**NOTHING)(segment(), np.random.default_rng(0)), segment())


def test_of_a_dipole_they_do_so_without_the_residual_too():
    signal = dipole_signal(0)
    result = VCGRotation(**NOTHING, keep_residual=False)(signal, np.random.default_rng(0))
    np.testing.assert_allclose(result, signal, atol=1e-6)


@pytest.mark.parametrize("keep_residual", [True, False])
@pytest.mark.parametrize(
    ("matrix", "before", "after"),
    [
        (rotation_matrix((0, 0, 90)), (1, 0, 0), (0, 1, 0)),
        (rotation_matrix((90, 0, 0)), (0, 2, 0), (0, 0, 2)),
        (np.diag([1.5, 1, 1]), (1, 2, 3), (1.5, 2, 3)),
        (np.diag([1, 2, 1]) @ rotation_matrix((0, 0, 90)), (1, 0, 0), (0, 2, 0)),
    ],
)
def test_a_known_dipole_is_turned_and_scaled_as_asked(matrix, before, after, keep_residual):
    signal = (DOWER_12 @ np.array([before], float).T).astype(np.float32)
    expected = DOWER_12 @ np.array([after], float).T
    np.testing.assert_allclose(change_vcg(signal, matrix, keep_residual), expected, atol=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_no_dipole_explains_stays(seed):
    rng = np.random.default_rng(seed)
    independent = rng.normal(0, 0.3, (8, 40))
    silent = independent - DOWER @ np.linalg.pinv(DOWER) @ independent
    signal = np.zeros((12, 40), np.float32)
    signal[INDEPENDENT] = silent  # its vectorcardiogram is zero
    signal[2:6] = rng.normal(size=(4, 40))  # derived leads are not asked about the dipole
    np.testing.assert_allclose(VCGRotation()(signal, rng), signal, atol=1e-5)
    assert np.abs(VCGRotation(keep_residual=False)(signal, rng)).max() < 1e-5


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_with_and_without_the_residual_the_vectorcardiogram_is_the_same(seed):
    signal = np.random.default_rng(seed).normal(0, 0.3, (12, 40)).astype(np.float32)
    kept, dropped = (
        VCGRotation(keep_residual=keep)(signal, np.random.default_rng(seed)) for keep in (True, False)
    )
    np.testing.assert_allclose(inverse_dower_12() @ kept, inverse_dower_12() @ dropped, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_limb_relations_hold_where_they_held_or_are_made_without_the_residual(seed, keep):
    rng = np.random.default_rng(seed)
    signal = complete_leads(rng.normal(0, 0.3, (8, 40))).astype(np.float32)
    if not keep:
        signal[2:6] = 1.0
    limb = VCGRotation(keep_residual=keep)(signal, rng)[:6]
    np.testing.assert_allclose(limb, derive_limb_leads(limb[0], limb[1]), atol=5e-6)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(INDEPENDENT), max_size=5), st.booleans())
def test_leads_that_were_not_recorded_do_not_change_what_happens_to_the_others(seed, absent, keep):
    signal = dipole_signal(seed)
    whole = VCGRotation(keep_residual=keep)(signal, np.random.default_rng(seed))
    signal[list(absent)] = 0.0
    partly = VCGRotation(keep_residual=keep)(signal, np.random.default_rng(seed))
    present = [lead for lead in range(12) if lead not in absent]
    # three leads may determine the dipole badly, but they do
    np.testing.assert_allclose(partly[present], whole[present], atol=2e-2, rtol=2e-2)
    assert not partly[list(absent)].any()


def test_angles_and_scales_are_uniform_within_their_bounds(assert_distributed):
    rng = np.random.default_rng(0)
    matrices = np.stack([VCGRotation().draw(rng) for _ in range(2000)])
    scales = np.linalg.norm(matrices, axis=2)  # a row of the rotation has length 1
    assert_distributed(scales, stats.uniform(1, 0.5))
    turn = matrices / scales[:, :, None]
    angles = np.rad2deg(
        [
            np.arctan2(turn[:, 2, 1], turn[:, 2, 2]),
            -np.arcsin(turn[:, 2, 0]),
            np.arctan2(turn[:, 1, 0], turn[:, 0, 0]),
        ]
    )
    for about_axis in angles:
        assert_distributed(about_axis, stats.uniform(-45, 90))
    assert np.abs(np.corrcoef(angles)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(2000)
    assert np.abs(np.corrcoef(scales.T)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(2000)


def test_other_bounds_are_kept_too():
    rng = np.random.default_rng(0)
    transform = VCGRotation(max_angle_deg=0.0, min_scale=0.2, max_scale=0.4)
    matrices = np.stack([transform.draw(rng) for _ in range(300)])
    assert not matrices[:, ~np.eye(3, dtype=bool)].any()
    scales = np.diagonal(matrices, axis1=1, axis2=2)
    assert 0.2 <= scales.min() < 0.21
    assert 0.39 < scales.max() <= 0.4
