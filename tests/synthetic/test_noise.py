import numpy as np
import pytest

from fairseq_signals.synthetic.noise import electrode_noise


def test_level_zero_is_silence():
    assert not electrode_noise(np.random.default_rng(0), 1000, 500, 50.0, level=0.0).any()


def test_noise_is_tens_of_microvolts_and_differs_between_electrodes():
    noise = np.stack([electrode_noise(np.random.default_rng(seed), 5000, 500, 50.0) for seed in range(20)])
    assert 0.02 < np.median(noise.std(axis=2)) < 0.08
    correlation = np.corrcoef(noise[0])
    assert np.abs(correlation[np.triu_indices(9, 1)]).max() < 0.9


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_stands_out_at_its_own_frequency(mains_hz):
    spectrum = np.mean(
        [
            np.abs(np.fft.rfft(electrode_noise(np.random.default_rng(seed), 5000, 500, mains_hz))).mean(
                axis=0
            )
            for seed in range(10)
        ],
        axis=0,
    )
    frequency = np.fft.rfftfreq(5000, 1 / 500)
    high = frequency > 30
    assert frequency[high][np.argmax(spectrum[high])] == pytest.approx(mains_hz, abs=0.21)


def test_wander_lies_below_one_hertz():
    noise = electrode_noise(np.random.default_rng(3), 5000, 500, 50.0)
    power = np.square(np.abs(np.fft.rfft(noise))).sum(axis=0)
    frequency = np.fft.rfftfreq(5000, 1 / 500)
    assert power[frequency < 1].sum() > power[(frequency > 1) & (frequency < 15)].sum() * 10
