"""What the electrodes pick up besides the heart, as potentials of the nine electrodes.

Noise is made where it arises, at the electrode, and reaches the leads through the same differences as the
heart's signal: so Einthoven's and Goldberger's relations hold for a noisy record as they do for a real one.
"""

from __future__ import annotations

import numpy as np

from fairseq_signals.synthetic.leadfield import ELECTRODES


def electrode_noise(
    rng: np.random.Generator, n: int, fs: float, mains_hz: float, level: float = 1.0
) -> np.ndarray:
    """Noise potentials (9, n) in mV, electrodes in the order of `ELECTRODES`.

    Baseline wander (below 0.7 Hz, falling with frequency), muscle noise (20-150 Hz, waxing and waning, most
    at the limbs), mains (50 or 60 Hz and its third harmonic) and amplifier noise; the amounts differ between
    records.

    Args:
        level: factor of all of them; 1 is an average recording, 0 none.
    """
    electrodes = len(ELECTRODES)
    frequency = np.fft.rfftfreq(n, 1 / fs)
    wander_mv, muscle_mv, mains_mv = level * np.exp(
        rng.normal(np.log([0.035, 0.007, 0.004]), [0.5, 0.5, 0.8])
    )
    limb_muscle = np.exp(rng.normal(0.3, 0.3, 3))

    white = _spectrum(rng, electrodes, len(frequency))
    slow = np.where((frequency > 0.04) & (frequency < 0.7), 1 / np.maximum(frequency, 0.04), 0.0)
    wander = _unit_power(slow, n)
    amplifier = _unit_power(np.where(frequency > 0.04, 1.0, 0.0), n)
    noise = np.fft.irfft(white * (wander_mv * wander + 0.002 * level * amplifier), n)

    band = _unit_power(np.where((frequency > 20) & (frequency < 150), 1.0, 0.0), n)
    muscle = np.fft.irfft(_spectrum(rng, electrodes, len(frequency)) * band, n)
    muscle[:3] *= limb_muscle[:, None]
    time = np.arange(n) / fs
    burst = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * time + rng.uniform(0, 6.28))
    noise += muscle_mv * burst * muscle

    phase = 2 * np.pi * (mains_hz + rng.normal(0, 0.05)) * time
    coupling = rng.normal(0, mains_mv, (electrodes, 2))  # in phase and in quadrature
    third = 0.2 * rng.normal(0, mains_mv, (electrodes, 1))
    noise += coupling @ np.stack([np.sin(phase), np.cos(phase)]) + third * np.sin(3 * phase)
    return noise


def _spectrum(rng: np.random.Generator, rows: int, n_frequencies: int) -> np.ndarray:
    return rng.standard_normal((rows, 2 * n_frequencies)).view(np.complex128)


def _unit_power(shape: np.ndarray, n: int) -> np.ndarray:
    """The spectral shape scaled so that the inverse transform of white noise has standard deviation 1."""
    return shape * n / (2 * np.sqrt(np.sum(np.square(shape))))
