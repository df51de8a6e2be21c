"""The moving dipole: waves that are Gaussians of a beat's phase, each with a direction in space.

As in P. E. McSharry et al., "A dynamical model for generating synthetic electrocardiogram signals", IEEE
Trans Biomed Eng 50:289-294, 2003, with one dipole component for each axis as in R. Sameni et al.,
"Multichannel ECG and noise modeling: application to maternal and fetal ECG signals", EURASIP J Adv Signal
Process 2007:043407. A Gaussian of the phase 2 pi (t - t_R) / RR with centre theta and width b is a Gaussian
of time with centre theta RR / 2 pi and width b RR / 2 pi. Centres and widths are kept in seconds here: a QRS
complex does not stretch with RR, and the QT interval does so, but not in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairseq_signals.ecg.vcg import rotation_matrix

_EDGE = 2.0  # a wave begins and ends where its Gaussian has fallen to exp(-2) of its height
_REACH = 4.0  # beyond 4 widths a Gaussian is below half an adu


@dataclass(frozen=True)
class Waves:
    """K Gaussian waves: centre, width before and after the centre (s), and dipole at the centre (mV).

    Attributes:
        center_s: (K,) relative to the fiducial point of the group.
        rise_s, fall_s: (K,) standard deviation of the left and of the right half.
        vector_mv: (K, 3) along X, Y, Z.
    """

    center_s: np.ndarray
    rise_s: np.ndarray
    fall_s: np.ndarray
    vector_mv: np.ndarray

    @classmethod
    def of(cls, *rows: tuple[float, float, float, tuple[float, float, float]]) -> Waves:
        """Waves from rows (centre, rise, fall, vector) with times in ms."""
        center, rise, fall, vector = (np.array(column, dtype=float) for column in zip(*rows))
        return cls(center * 1e-3, rise * 1e-3, fall * 1e-3, vector)

    def __len__(self) -> int:
        return len(self.center_s)

    def __add__(self, other: Waves) -> Waves:
        return Waves(*map(np.concatenate, zip(vars(self).values(), vars(other).values())))

    def with_vectors(self, vector_mv: np.ndarray) -> Waves:
        return Waves(self.center_s, self.rise_s, self.fall_s, vector_mv)

    def scaled(self, gain: float) -> Waves:
        return self.with_vectors(self.vector_mv * gain)

    def rotated(self, rotation: np.ndarray) -> Waves:
        return self.with_vectors(self.vector_mv @ rotation.T)

    def varied(self, rng: np.random.Generator, spread: float) -> Waves:
        """The same waves in another person: timing, width, size and direction vary by about `spread`."""
        k = len(self)
        size = np.linalg.norm(self.vector_mv, axis=1, keepdims=True)
        mean_width = (self.rise_s + self.fall_s) / 2
        width = np.exp(rng.normal(0, 0.5 * spread, k))
        return Waves(
            self.center_s + rng.normal(0, spread, k) * mean_width,
            self.rise_s * width,
            self.fall_s * width,
            self.vector_mv * np.exp(rng.normal(0, spread, (k, 1))) + size * rng.normal(0, spread, (k, 3)),
        )

    @property
    def onset_s(self) -> float:
        return float(np.min(self.center_s - _EDGE * self.rise_s))

    @property
    def offset_s(self) -> float:
        return float(np.max(self.center_s + _EDGE * self.fall_s))

    def area(self) -> np.ndarray:
        """The integral of the dipole up to a constant, (3,)."""
        return (self.rise_s + self.fall_s) @ self.vector_mv

    def at(self, time_s: np.ndarray) -> np.ndarray:
        """The dipole (..., 3, T) in mV at times (..., T) relative to the fiducial point."""
        delta = time_s[..., None, :] - self.center_s[:, None]  # (..., K, T)
        width = np.where(delta < 0, self.rise_s[:, None], self.fall_s[:, None])
        return self.vector_mv.T @ np.exp(-0.5 * np.square(delta / width))


def add_waves(
    dipole_mv: np.ndarray, fs: float, at_s: np.ndarray, waves: Waves, stretch: np.ndarray | None = None
) -> None:
    """Add the waves at each fiducial time to the dipole, in place.

    Args:
        dipole_mv: (3, T), sample 0 at time 0.
        at_s: (B,) fiducial times; waves outside the window are cut at its edges.
        stretch: (B,) factor of all times of the group in each beat, or None for 1.
    """
    if not len(at_s):
        return
    n = dipole_mv.shape[1]
    scale = np.ones(len(at_s)) if stretch is None else np.asarray(stretch)
    before = float(np.min(waves.center_s - _REACH * waves.rise_s)) * scale.max()
    after = float(np.max(waves.center_s + _REACH * waves.fall_s)) * scale.max()
    start = np.floor((at_s + before) * fs).astype(int)  # (B,)
    length = int(np.ceil((after - before) * fs)) + 2
    time = (start[:, None] + np.arange(length)) / fs - at_s[:, None]  # (B, L)
    for first, beat in zip(start, waves.at(time / scale[:, None])):  # (B, 3, L)
        low, high = max(first, 0), min(first + length, n)
        if low < high:
            dipole_mv[:, low:high] += beat[:, low - first : high - first]


def rotation_about(axis: int, degrees: float) -> np.ndarray:
    """The (3, 3) rotation about X, Y or Z (0, 1, 2); about Z it turns the frontal axis clockwise on paper."""
    angles = np.zeros(3)
    angles[axis] = -degrees if axis == 1 else degrees
    return rotation_matrix(angles)
