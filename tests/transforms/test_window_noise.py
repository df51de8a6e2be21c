"""Noise in place of a window: exactly the share of samples that is asked for, as large as the lead."""

import numpy as np
import pytest
from scipy import stats

from fairseq_signals.transforms.window_noise import WindowNoise, replace_windows


def test_given_windows_become_noise_and_go_on_at_the_beginning():
    noise = np.arange(1, 7).reshape(2, 3)
    changed = replace_windows(np.zeros((2, 5), np.float32), np.array([1, 4]), noise)
    assert changed.tolist() == [[0, 1, 2, 3, 0], [5, 6, 0, 0, 4]]


@pytest.mark.parametrize(("window_ratio", "n"), [(0.0, 0), (0.25, 25), (1.0, 100)])
def test_the_share_is_exact_in_one_window_and_the_rest_bit_identical(segment, window_ratio, n):
    signal = segment(0, 100)
    changed = WindowNoise(window_ratio)(signal, np.random.default_rng(0)) != signal
    assert set(changed.sum(axis=1)) == {n}
    assert (changed & ~np.roll(changed, 1, axis=1)).sum(axis=1).max() <= 1


def test_the_noise_is_normal_and_a_quarter_of_the_leads_deviation(assert_distributed):
    signal = np.random.default_rng(1).normal(0, [[1.0], [4.0]], (2, 40_000)).astype(np.float32)
    changed = WindowNoise()(signal, np.random.default_rng(0))
    for lead, before in zip(changed, signal):
        noise = lead[lead != before]
        assert_distributed(noise[:2000] / before.std(), stats.norm(0, 0.25))


def test_each_lead_has_a_window_of_its_own_anywhere(assert_distributed):
    rng, starts = np.random.default_rng(0), []
    for _ in range(100):
        signal = rng.normal(size=(12, 1000)).astype(np.float32)
        changed = WindowNoise()(signal, rng) != signal
        starts.append((changed & ~np.roll(changed, 1, axis=1)).argmax(axis=1))
    assert_distributed((np.stack(starts) + 0.5) / 1000, stats.uniform(0, 1))
