"""Powerline noise: one frequency, one amplitude and phase, and which leads have it."""

import numpy as np
import pytest
from scipy import stats

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.transforms.powerline_noise import PowerlineNoise

FS, N = 500.0, 2500


def spectrum(noise: np.ndarray) -> np.ndarray:
    """Complex amplitudes of the cosines of (..., T), by frequency."""
    return 2 / noise.shape[-1] * np.fft.rfft(noise)


@pytest.mark.parametrize("frequency_hz", [50.0, 60.0])
def test_the_spectrum_is_one_line_at_the_mains_frequency(frequency_hz):
    for seed in range(20):
        noise = PowerlineNoise(FS, frequency_hz=frequency_hz).noise_mv(N, np.random.default_rng(seed))
        power = np.abs(spectrum(noise[0])) ** 2
        line = round(frequency_hz * N / FS)
        assert power.argmax() == line
        assert power[line] > 0.999999 * power.sum()


def test_fifty_hertz_is_the_default_and_the_wave_a_cosine():
    transform = PowerlineNoise(FS)
    rng = np.random.default_rng(3)
    amplitude, phase = rng.uniform(0, 0.5), rng.uniform(0, 2 * np.pi)
    wave = amplitude * np.cos(2 * np.pi * 50 * np.arange(N) / FS + phase)
    noise = transform.noise_mv(N, np.random.default_rng(3))
    np.testing.assert_allclose(noise[LEADS.index("V3")], wave, atol=1e-6)


def test_amplitude_and_phase_are_uniform(assert_distributed):
    rng = np.random.default_rng(0)
    transform = PowerlineNoise(FS, min_amplitude_mv=0.1, max_amplitude_mv=0.4)
    lines = np.array([spectrum(transform.noise_mv(500, rng)[0])[50] for _ in range(2000)])
    assert_distributed(np.abs(lines), stats.uniform(0.1, 0.3))
    assert_distributed(np.angle(lines), stats.uniform(-np.pi, 2 * np.pi))


def test_the_amplitude_is_within_its_bounds_by_default():
    rng = np.random.default_rng(0)
    amplitudes = [np.abs(spectrum(PowerlineNoise(FS).noise_mv(500, rng)[0])[50]) for _ in range(500)]
    assert 0 <= min(amplitudes) < 0.02
    assert 0.48 < max(amplitudes) <= 0.5 + 1e-6


def test_harmonics_are_multiples_each_with_its_own_amplitude_and_phase(assert_distributed):
    rng = np.random.default_rng(1)
    transform = PowerlineNoise(FS, n_harmonics=3)
    spectra = np.array([spectrum(transform.noise_mv(500, rng)[6]) for _ in range(1000)])
    lines = spectra[:, [50, 100, 150]]
    assert np.abs(np.delete(spectra, [50, 100, 150], axis=1)).max() < 1e-5
    assert_distributed(np.abs(lines), stats.uniform(0, 0.5))
    assert np.abs(np.corrcoef(np.abs(lines).T)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(len(lines))
    assert np.abs(np.corrcoef(np.angle(lines).T)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(len(lines))


def test_all_electrodes_have_the_same_noise_and_the_derived_leads_what_follows():
    noise = PowerlineNoise(FS).noise_mv(N, np.random.default_rng(0))
    factors = dict(zip(LEADS, (1, 1, 0, -1, 0.5, 0.5, 1, 1, 1, 1, 1, 1)))
    for lead, factor in factors.items():
        np.testing.assert_allclose(noise[LEADS.index(lead)], factor * noise[0], atol=1e-6, err_msg=lead)


def test_without_the_dependency_all_leads_have_the_same():
    noise = PowerlineNoise(FS, keep_dependency=False).noise_mv(N, np.random.default_rng(0))
    assert noise.any()
    assert np.array_equal(noise, np.broadcast_to(noise[0], noise.shape))


def test_the_frequency_is_in_hertz_whatever_the_sampling_rate():
    noise = PowerlineNoise(400.0).noise_mv(2000, np.random.default_rng(0))
    assert np.abs(spectrum(noise[0])).argmax() == 250  # 50 Hz of 5 s
