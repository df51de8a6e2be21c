"""Time masking: exactly the share of samples that is asked for, in one window a lead that may wrap around."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairseq_signals.transforms.time_mask import TimeMask, mask_windows


def test_given_windows_become_zeros_and_go_on_at_the_beginning():
    masked = mask_windows(np.ones((3, 6), np.float32), np.array([0, 2, 5]), 3)
    assert masked.tolist() == [[0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 1, 0]]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0, 1))
def test_the_share_of_zeros_is_exact_in_one_window_and_the_rest_bit_identical(seed, n_samples, mask_ratio):
    signal = np.random.default_rng(seed).uniform(1, 2, (12, n_samples)).astype(np.float32)
    masked = TimeMask(mask_ratio)(signal, np.random.default_rng(seed))
    zeros = masked == 0
    assert set(zeros.sum(axis=1)) == {round(mask_ratio * n_samples)}
    # round the circle, a lead goes from unmasked to masked at most once
    assert (zeros & ~np.roll(zeros, 1, axis=1)).sum(axis=1).max() <= 1
    assert np.array_equal(masked[~zeros], signal[~zeros])


def test_half_of_each_lead_by_default(segment):
    assert set((TimeMask()(segment(), np.random.default_rng(0)) == 0).sum(axis=1)) == {1250}


@pytest.mark.parametrize(("mask_ratio", "n_zeros"), [(0.0, 0), (0.2, 10), (1.0, 50)])
def test_another_share_is_another_number_of_zeros(mask_ratio, n_zeros):
    masked = TimeMask(mask_ratio)(np.ones((12, 50), np.float32), np.random.default_rng(0))
    assert set((masked == 0).sum(axis=1)) == {n_zeros}


def test_every_lead_has_a_window_of_its_own_anywhere_round_the_segment(assert_distributed, assert_share):
    rng, n_samples, n = np.random.default_rng(0), 1000, 300
    masked = np.stack([TimeMask()(np.ones((12, n_samples), np.float32), rng) for _ in range(n)]) == 0
    starts = (masked & ~np.roll(masked, 1, axis=2)).argmax(axis=2)  # (n, 12)
    assert_distributed((starts + 0.5) / n_samples, stats.uniform(0, 1))
    wraps = starts > n_samples / 2
    assert_share(wraps, 0.5)
    pairs = (wraps[:, :, None] == wraps[:, None, :])[:, ~np.eye(12, dtype=bool)]
    assert_share(pairs, 0.5)
