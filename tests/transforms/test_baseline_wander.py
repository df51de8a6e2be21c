"""Baseline wander: slow, one wave for all leads, and a factor for each."""

import numpy as np
import pytest
from scipy import stats

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS
from fairseq_signals.transforms.baseline_wander import BaselineWander, sum_of_cosines

FS = 500.0
INDEPENDENT = [LEADS.index(name) for name in INDEPENDENT_LEADS]
#: Exactly one period of a cosine of amplitude 1 in 10 samples, times the factor of each lead.
ONE_PERIOD = {
    "min_amplitude_mv": 1.0,
    "max_amplitude_mv": 1.0,
    "min_frequency_hz": 0.1,
    "max_frequency_hz": 0.1,
    "n_components": 1,
}


def lines(noise: np.ndarray) -> np.ndarray:
    """The complex amplitude of the first harmonic of (..., T)."""
    return (2 / noise.shape[-1] * np.fft.rfft(noise))[..., 1]


def test_cosines_are_summed():
    """Against a loop over samples and components."""
    frequency, amplitude, phase = np.array([0.3, 7.0]), np.array([2.0, 0.5]), np.array([1.0, -2.0])
    expected = [
        sum(a * np.cos(2 * np.pi * f * t / 100 + p) for f, a, p in zip(frequency, amplitude, phase))
        for t in range(300)
    ]
    summed = sum_of_cosines(300, 100.0, frequency, amplitude, phase)
    np.testing.assert_allclose(summed, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("band", "parameters"),
    [((0.01, 0.2), {}), ((1.0, 2.0), {"min_frequency_hz": 1.0, "max_frequency_hz": 2.0})],
)
def test_the_power_lies_in_the_band(band, parameters):
    rng, fs, seconds = np.random.default_rng(0), 20.0, 200
    n = int(fs * seconds)
    inside = 0
    for _ in range(20):
        noise = BaselineWander(fs, **parameters).noise_mv(n, rng)[0]
        power = np.abs(np.fft.rfft(noise * np.hanning(n))) ** 2
        frequency = np.fft.rfftfreq(n, 1 / fs)
        near = (frequency >= band[0] - 0.01) & (frequency <= band[1] + 0.01)  # two bins for the window
        assert power[near].sum() > 0.999 * power.sum()
        inside += band[0] <= frequency[power.argmax()] <= band[1]
    assert inside == 20


def test_frequencies_are_uniform_in_the_band(assert_distributed):
    """Of one component whose cosine has amplitude 1: x[2] + x[0] = 2 cos(w) x[1]."""
    rng, fs = np.random.default_rng(0), 1.0
    one = {**ONE_PERIOD, "min_frequency_hz": 0.1, "max_frequency_hz": 0.4, "lead_factor_sd": 0.0}
    noises = (BaselineWander(fs, **one).noise_mv(3, rng)[0].astype(float) for _ in range(3000))
    cosines = np.array([(x[2] + x[0]) / (2 * x[1]) for x in noises if abs(x[1]) > 0.1])
    assert_distributed(np.arccos(np.clip(cosines, -1, 1)) / (2 * np.pi), stats.uniform(0.1, 0.3))


def test_amplitude_and_phase_are_uniform(assert_distributed):
    rng = np.random.default_rng(1)
    parameters = {**ONE_PERIOD, "min_amplitude_mv": 0.0, "max_amplitude_mv": 0.5, "lead_factor_sd": 0.0}
    line = np.array([lines(BaselineWander(1.0, **parameters).noise_mv(10, rng)[0]) for _ in range(2000)])
    assert_distributed(np.abs(line), stats.uniform(0, 0.5))
    assert_distributed(np.angle(line), stats.uniform(-np.pi, 2 * np.pi))


@pytest.mark.parametrize("keep", [True, False])
def test_every_lead_has_a_factor_from_its_normal_distribution(keep, assert_distributed):
    rng = np.random.default_rng(2)
    transform = BaselineWander(1.0, **ONE_PERIOD, keep_dependency=keep)
    line = np.stack([lines(transform.noise_mv(10, rng)) for _ in range(300)])  # (300, 12)
    own = line[:, INDEPENDENT if keep else range(12)]
    assert_distributed(np.abs(own), stats.foldnorm(c=1 / 0.5, scale=0.5))  # of N(1, 0.5), without its sign
    turned = np.abs(np.sin(np.angle(own / own[:, :1])))
    assert turned.max() < 1e-4  # in phase, or upside down: it is one wave
    upside_down = (own / own[:, :1]).real < 0
    assert 0 < upside_down.mean() < 0.1


def test_the_factor_has_the_mean_and_spread_that_are_asked_for(assert_distributed):
    rng = np.random.default_rng(3)
    transform = BaselineWander(1.0, **ONE_PERIOD, lead_factor_mean=5.0, lead_factor_sd=0.1)
    factors = np.abs([lines(transform.noise_mv(10, rng))[INDEPENDENT] for _ in range(200)])
    assert_distributed(factors, stats.norm(5.0, 0.1))


def test_harmonics_have_power_at_multiples_of_one_frequency_only(assert_distributed):
    """Of 100 s at df = 0.05 Hz, the line of k df is bin 5 k; the leads' factor is 1."""
    rng, n = np.random.default_rng(0), 1000
    one = {"min_frequency_hz": 0.05, "max_frequency_hz": 0.05, "lead_factor_sd": 0.0}
    transform = BaselineWander(10.0, **one, frequencies="harmonics")
    line = np.array([2 / n * np.fft.rfft(transform.noise_mv(n, rng)[0]) for _ in range(2000)])
    assert np.abs(np.delete(line, [5, 10, 15], axis=1)).max() < 1e-6
    for k in (5, 10, 15):
        assert_distributed(np.abs(line[:, k]), stats.uniform(0, 0.5))
        assert_distributed(np.angle(line[:, k]), stats.uniform(-np.pi, 2 * np.pi))


def test_the_one_frequency_of_harmonics_is_uniform_in_the_band(monkeypatch, assert_distributed):
    drawn = []
    monkeypatch.setattr(
        "fairseq_signals.transforms.baseline_wander.sum_of_cosines",
        lambda n, fs, frequency, *_: drawn.append(frequency) or np.zeros(n, np.float32),
    )
    rng, transform = np.random.default_rng(0), BaselineWander(FS, frequencies="harmonics")
    for _ in range(1000):
        transform.noise_mv(1, rng)
    df = np.array(drawn)[:, 0]
    np.testing.assert_allclose(drawn, np.outer(df, [1, 2, 3]))
    assert_distributed(df, stats.uniform(0.01, 0.19))


def test_three_components_by_default_and_as_many_as_asked_for():
    """The root mean square of K cosines of amplitude 1 and different frequencies is sqrt(K / 2)."""
    n, fs = 40_000, 1.0
    many = {"min_amplitude_mv": 1.0, "max_amplitude_mv": 1.0, "lead_factor_sd": 0.0}
    for parameters, k in (({}, 3), ({"n_components": 8}, 8)):
        rng = np.random.default_rng(0)
        noise = BaselineWander(fs, **many, **parameters).noise_mv(n, rng)[0].astype(float)
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(np.sqrt(k / 2), rel=0.02)
