"""When the heart beats: RR intervals, ectopic beats and atrial activity of each rhythm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MARGIN_S = 1.5  # beats are made this long before and after the record, so that its edges are whole

RATES_BPM = {"NSR": (61, 95), "SB": (42, 57), "STach": (103, 130), "SA": (62, 85), "AF": (65, 130)}


@dataclass(frozen=True)
class Beats:
    """The beats of a record in order of time, also those just outside it.

    Attributes:
        time_s: (B,) main deflection of QRS.
        rr_s: (B,) interval that ends with the beat.
        kind: (B,) "N" normal, "A" atrial ectopic, "V" ventricular ectopic, as in WFDB annotations.
        has_p: (B,) True where a P wave precedes the beat.
    """

    time_s: np.ndarray
    rr_s: np.ndarray
    kind: np.ndarray
    has_p: np.ndarray

    def within(self, duration_s: float) -> Beats:
        """Only the beats of the record itself."""
        inside = (self.time_s >= 0) & (self.time_s < duration_s)
        return Beats(*(values[inside] for values in vars(self).values()))


def _pink(rng: np.random.Generator, n: int) -> np.ndarray:
    """1/f noise of n points, standard deviation 1."""
    spectrum = rng.normal(size=n // 2 + 1) + 1j * rng.normal(size=n // 2 + 1)
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, n // 2 + 1))
    series = np.fft.irfft(spectrum, n)
    return series / series.std()


def sinus_intervals(
    rng: np.random.Generator, mean_s: float, n: int, respiration_hz: float, arrhythmia: float
) -> np.ndarray:
    """RR intervals (n,) of a sinus node: respiratory arrhythmia, the 0.1 Hz wave of blood pressure, and 1/f.

    Args:
        arrhythmia: amplitude of the respiratory part as a fraction of the mean interval.
    """
    time = np.arange(n) * mean_s
    respiratory = arrhythmia * np.sin(2 * np.pi * respiration_hz * time + rng.uniform(0, 2 * np.pi))
    mayer = 0.012 * np.sin(2 * np.pi * 0.1 * time + rng.uniform(0, 2 * np.pi))
    return mean_s * (1 + respiratory + mayer + 0.014 * _pink(rng, n))


def _count(duration_s: float, shortest_s: float) -> int:
    return int((duration_s + 2 * _MARGIN_S) / shortest_s) + 4


def sinus_beats(
    rng: np.random.Generator, rhythm: str, rate_bpm: float, duration_s: float, respiration_hz: float
) -> Beats:
    """Beats of a sinus rhythm (`rhythm` is "NSR", "SB", "STach" or "SA"); every beat has its P wave."""
    mean_s = 60 / rate_bpm
    arrhythmia = rng.uniform(0.14, 0.22) if rhythm == "SA" else rng.uniform(0.006, 0.025)
    rr = sinus_intervals(rng, mean_s, _count(duration_s, 0.7 * mean_s), respiration_hz, arrhythmia)
    return _beats_of(rr, rng, duration_s)


def fibrillation_beats(rng: np.random.Generator, rate_bpm: float, duration_s: float) -> Beats:
    """Beats of atrial fibrillation: independent intervals (shifted gamma, at least 0.32 s), no P waves."""
    mean_s = 60 / rate_bpm
    shape = rng.uniform(2.5, 5.0)
    floor = max(0.32, 0.45 * mean_s)
    rr = floor + rng.gamma(shape, (mean_s - floor) / shape, _count(duration_s, 0.32))
    return _beats_of(rr, rng, duration_s, has_p=False)


def flutter_beats(rng: np.random.Generator, flutter_hz: float, duration_s: float) -> Beats:
    """Beats of atrial flutter: every 2nd, 3rd or 4th wave is conducted, in some patients by turns."""
    n = _count(duration_s, 1.5 / flutter_hz)
    ratio = np.full(n, rng.choice([2, 3, 4], p=[0.3, 0.25, 0.45]))
    if rng.random() < 0.35:
        ratio = rng.choice([2, 3, 4], size=n, p=[0.35, 0.15, 0.5])
    rr = ratio / flutter_hz + rng.normal(0, 0.004, n)
    return _beats_of(rr, rng, duration_s, has_p=False)


def _beats_of(rr_s: np.ndarray, rng: np.random.Generator, duration_s: float, has_p: bool = True) -> Beats:
    time = np.cumsum(rr_s) - _MARGIN_S - rng.uniform(0, 1) * rr_s[0]
    keep = time < duration_s + _MARGIN_S
    n = int(keep.sum())
    return Beats(time[keep], rr_s[keep], np.full(n, "N"), np.full(n, has_p))


def add_ectopics(
    beats: Beats, kind: str, rng: np.random.Generator, duration_s: float, chance: float
) -> Beats:
    """Some beats become premature: ventricular ("V") or atrial ("A"), one or more in each half of the record.

    A ventricular ectopic beat leaves the sinus node alone (full compensatory pause: the next beat comes when
    it would have come). An atrial one resets it (all later beats move forward by the prematurity).

    Args:
        chance: probability of each further beat to be ectopic; never two in a row.
    """
    time, mean_s = beats.time_s, beats.rr_s.mean()
    half = duration_s / 2  # keep off its borders: what is premature moves forward by up to 0.5 RR
    first = np.flatnonzero((time > 0.9 * mean_s) & (time < half))
    second = np.flatnonzero((time > half + 1.2 * mean_s) & (time < duration_s - 0.1))
    chosen: set[int] = set()
    for candidates in (first, second):
        free = [beat for beat in candidates.tolist() if beat - 1 not in chosen]
        if free:
            chosen.add(int(rng.choice(free)))
    for beat in [*first.tolist(), *second.tolist()]:
        if rng.random() < chance and not {beat - 1, beat, beat + 1} & chosen:
            chosen.add(beat)
    rr, kinds, has_p = beats.rr_s.copy(), beats.kind.copy(), beats.has_p.copy()
    for beat in sorted(chosen):
        coupling = rng.uniform(0.52, 0.66) if kind == "V" else rng.uniform(0.60, 0.74)
        early = max(rr[beat] - max(coupling * rr[beat], 0.30), 0.0)
        rr[beat] -= early
        if kind == "V" and beat + 1 < len(rr):
            rr[beat + 1] += early
        kinds[beat] = kind
        has_p[beat] = has_p[beat] and kind == "A"
    return Beats(beats.time_s[0] - beats.rr_s[0] + np.cumsum(rr), rr, kinds, has_p)


def fibrillatory_waves(rng: np.random.Generator, n: int, fs: float, amplitude_mv: float) -> np.ndarray:
    """Two independent f-waves (2, n) in mV, 4-9 Hz: sawtooth-like, frequency and amplitude modulated.

    Of the form used by M. Stridh, L. Sornmo, "Spatiotemporal QRST cancellation techniques for analysis of
    atrial fibrillation", IEEE Trans Biomed Eng 48:105-111, 2001, for their simulated f-waves.
    """
    time = np.arange(n) / fs
    waves = np.empty((2, n))
    for row in waves:
        f0, deviation, slow = rng.uniform(4.8, 8.2), rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.5)
        phase = 2 * np.pi * f0 * time + deviation / slow * np.sin(
            2 * np.pi * slow * time + rng.uniform(0, 6.28)
        )
        envelope = 1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time + rng.uniform(0, 6.28))
        row[:] = amplitude_mv * envelope * sum(np.sin(k * phase) / k**1.4 for k in (1, 2, 3))
    return waves


def flutter_wave(beats: Beats, flutter_hz: float, n: int, fs: float, amplitude_mv: float) -> np.ndarray:
    """The sawtooth (n,) of atrial flutter in mV, in step with the beats it conducts; steep fall."""
    time = np.arange(n) / fs
    phase = 2 * np.pi * flutter_hz * (time - beats.time_s[0])
    return amplitude_mv * sum(np.sin(k * phase) / k * np.exp(-0.12 * k * k) for k in (1, 2, 3, 4, 5))
