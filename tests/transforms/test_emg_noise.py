"""EMG noise: white, Gaussian, and of another strength in each lead."""

import itertools

import numpy as np
from scipy import stats

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS
from fairseq_signals.transforms.emg_noise import EMGNoise

N = 2500
INDEPENDENT = [LEADS.index(name) for name in INDEPENDENT_LEADS]


def draws(n: int, **parameters) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([EMGNoise(**parameters).noise_mv(N, rng) for _ in range(n)])


def test_the_spectrum_is_flat():
    noise = draws(20, min_amplitude_mv=0.5, keep_dependency=False)
    power = (np.abs(np.fft.rfft(noise)[..., 1:-1]) ** 2 / (N * 0.25)).reshape(240, -1)
    # power is exponential with mean 1 in each bin; its mean over 25 neighbours and 240 leads is nearly normal
    bands = power[:, : 25 * (power.shape[1] // 25)].reshape(240, -1, 25).mean(axis=(0, 2))
    assert len(bands) > 40
    assert np.abs(bands - 1).max() < 5 / np.sqrt(240 * 25)


def test_samples_are_normal_and_leads_independent(assert_distributed):
    noise = draws(4, min_amplitude_mv=0.3, max_amplitude_mv=0.3, keep_dependency=False)
    assert_distributed(noise, stats.norm(0, 0.3))
    correlation = np.corrcoef(noise.transpose(1, 0, 2).reshape(12, -1))
    assert np.abs(correlation[np.triu_indices(12, 1)]).max() < 5 / np.sqrt(4 * N)
    for a, b in itertools.pairwise(noise):  # nor is one segment's noise that of another
        assert abs(np.corrcoef(a[0], b[0])[0, 1]) < 5 / np.sqrt(N)


def test_each_lead_has_its_own_amplitude(assert_distributed):
    strength = draws(100).std(axis=2)[:, INDEPENDENT]
    assert_distributed(strength, stats.uniform(0, 0.5))
    between = np.corrcoef(strength.T)[np.triu_indices(8, 1)]
    assert np.abs(between).max() < 5 / np.sqrt(100)


def test_without_the_dependency_the_limb_leads_have_their_own_too(assert_distributed):
    strength = draws(100, keep_dependency=False).std(axis=2)
    assert_distributed(strength, stats.uniform(0, 0.5))
    assert_distributed(strength[:, 2:6], stats.uniform(0, 0.5))


def test_amplitudes_are_within_their_bounds():
    strength = draws(50, min_amplitude_mv=0.1, max_amplitude_mv=0.2).std(axis=2)[:, INDEPENDENT]
    assert 0.1 * 0.9 < strength.min() < 0.11
    assert 0.19 < strength.max() < 0.2 * 1.1
