"""Change of sampling rate: polyphase, with an anti-aliasing low-pass, or linear; also in stretches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import Record
from fairseq_signals.ecg.units import Stored, offsets, quantise, rounding
from fairseq_signals.errors import ConfigError

#: How signals are resampled: through a low-pass, at nominal times; or by straight lines between neighbours,
#: the first and the last sample kept, as the recordings were that ECG-FM was trained on.
POLYPHASE, LINEAR = RESAMPLERS = ("polyphase", "linear")
_MAX_FACTOR = 1000  # largest up- or down-sampling factor; the rate is then right to 1 in a million
#: Records of more samples (L x T) are converted in stretches: an hour of twelve leads at 500 Hz.
LONG = 12 * 3600 * 500
_STRETCH = 2**20  # samples of a lead at the new rate


@lru_cache(maxsize=64)  # a corpus has few rates
def rate_ratio(fs_in: float, fs_out: float) -> Fraction:
    """`fs_out` / `fs_in` as a fraction with numerator and denominator of at most about 1000."""
    exact = Fraction(repr(float(fs_out))) / Fraction(repr(float(fs_in)))
    return exact.limit_denominator(_MAX_FACTOR)


def check_resampler(how: str) -> str:
    """The name itself.

    Raises:
        ConfigError: it is none of `RESAMPLERS`.
    """
    if how not in RESAMPLERS:
        raise ConfigError(f"resampler must be {' or '.join(RESAMPLERS)}, but is {how!r}")
    return how


def resampled_length(n_samples: int, fs_in: float, fs_out: float, how: str = POLYPHASE) -> int:
    """How many samples a signal of `n_samples` has at another rate; one where it has any."""
    ratio = rate_ratio(fs_in, fs_out)
    if check_resampler(how) == LINEAR and ratio != 1:
        return max(int(n_samples * (fs_out / fs_in)), min(n_samples, 1))  # cut off, as ECG-FM's code does
    return -(-n_samples * ratio.numerator // ratio.denominator)


def resample(signal: np.ndarray, fs_in: float, fs_out: float, how: str = POLYPHASE) -> np.ndarray:
    """The signal (..., T) at another sampling rate: (..., `resampled_length`) float64.

    "polyphase": linear-phase FIR low-pass at the lower of the two Nyquist frequencies
    (scipy.signal.resample_poly). The line through the first and last sample goes on beyond them, so that an
    offset makes no edge artefact. "linear": n samples at `linspace(0, T - 1, n)`, no low-pass.

    Raises:
        ConfigError: `how` is none of `RESAMPLERS`.
    """
    ratio = rate_ratio(fs_in, fs_out)
    if ratio == 1:
        return np.asarray(signal, dtype=np.float64)
    if check_resampler(how) == LINEAR:
        n_in = signal.shape[-1]
        n_out = resampled_length(n_in, fs_in, fs_out, how)
        return resample_stretch(lambda a, b: signal[..., a:b], n_in, fs_in, fs_out, 0, n_out, how)
    from scipy.signal import resample_poly  # scipy.signal is slow to import and seldom needed

    up, down = ratio.numerator, ratio.denominator
    return resample_poly(
        np.asarray(signal, dtype=np.float64), up, down, axis=-1, window=_low_pass(up, down), padtype="line"
    )


def resample_stretch(
    read: Callable[[int, int], np.ndarray],
    n_samples: int,
    fs_in: float,
    fs_out: float,
    start: int,
    stop: int,
    how: str = POLYPHASE,
) -> np.ndarray:
    """The samples `start` to `stop` of `resample` of a signal (..., T), of which only what they need is read.

    Args:
        read: gives the samples from one to before another of the signal, (..., n) in mV.
        n_samples: T, at `fs_in`.
        start, stop: at `fs_out`.
        how: one of `RESAMPLERS`.
    """
    ratio = rate_ratio(fs_in, fs_out)
    if ratio == 1:
        return np.asarray(read(start, stop), dtype=np.float64)
    if check_resampler(how) == LINEAR:
        return _linear(read, n_samples, resampled_length(n_samples, fs_in, fs_out, how), start, stop)
    from scipy.signal import upfirdn

    up, down = ratio.numerator, ratio.denominator
    taps = _low_pass(up, down) * up
    half = (len(taps) - 1) // 2
    before = down - half % down  # zeros, so that the first output comes a whole number of steps late
    reach = half // up + 2  # samples on either side that an output depends on
    begin, end = (start * down // up - reach) // down * down, stop * down // up + reach
    part = read(max(begin, 0), min(end, n_samples))
    if begin < 0 or end > n_samples:  # the line through the first and the last sample goes on beyond them
        first, last = read(0, 1), read(n_samples - 1, n_samples)  # (..., 1)
        slope = (last - first) / max(n_samples - 1, 1)
        earlier, later = np.arange(begin, 0), np.arange(1, max(end - n_samples, 0) + 1)
        part = np.concatenate([first + slope * earlier, part, last + slope * later], axis=-1)
    filtered = upfirdn(np.concatenate([np.zeros(before), taps]), part, up, down, axis=-1)
    shift = (half + before) // down - begin // down * up
    return filtered[..., start + shift : stop + shift]


def _linear(
    read: Callable[[int, int], np.ndarray], n_in: int, n_out: int, start: int, stop: int
) -> np.ndarray:
    """The samples `start` to `stop` of those at `linspace(0, n_in - 1, n_out)`, by lines between samples."""
    if start >= stop:
        return np.asarray(read(0, 0), dtype=np.float64)
    at = np.arange(start, stop) * ((n_in - 1) / max(n_out - 1, 1))
    if stop == n_out > 1:
        at[-1] = n_in - 1
    left = at.astype(np.int64)
    right = np.minimum(left + 1, n_in - 1)
    first = int(left[0])
    part = np.asarray(read(first, int(right[-1]) + 1), dtype=np.float64)
    before, after = part[..., left - first], part[..., right - first]
    return before + (after - before) * (at - left)


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> np.ndarray:
    """The filter at the rate of fs_in * up: Kaiser-windowed sinc, 10 zero crossings a side, 60 dB down."""
    from scipy.signal import firwin

    widest = max(up, down)
    return firwin(2 * 10 * widest + 1, 1 / widest, window=("kaiser", 5.0))


def resample_record(record: Record, fs: float, scratch: Path | None = None, how: str = POLYPHASE) -> Record:
    """The record at `fs` Hz; itself where that is its rate.

    Resampled values are rounded to 1/32767 of the peak of their lead.

    Args:
        scratch: folder for the samples of a long record, in a file that vanishes with it; by default that of
            temporary files.
        how: one of `RESAMPLERS`.
    """
    if rate_ratio(record.fs, fs) == 1:
        return record
    if len(record.leads) * resampled_length(record.n_samples, record.fs, fs, how) > LONG:
        signal, stored = _resample_long(record, fs, scratch, how)
    else:
        stored = [quantise(lead, 0.0) for lead in resample(record.signal_mv(), record.fs, fs, how)]
        signal = np.stack([lead.values for lead in stored])
    scale = np.array([lead.scale for lead in stored])
    return replace(record, fs=float(fs), signal=signal, scale=scale, offset=offsets(stored))


def _resample_long(
    record: Record, fs: float, scratch: Path | None, how: str
) -> tuple[np.ndarray, list[Stored]]:
    """The samples (L, T) int16, mapped from a file without a name, and how each lead is stored."""
    n_samples = resampled_length(record.n_samples, record.fs, fs, how)
    stored = []
    with tempfile.TemporaryFile(dir=scratch) as file:
        for row in range(len(record.leads)):
            lows, highs, medians = zip(*_medians(_stretches(record, row, fs, n_samples, how)))
            scale, offset = rounding(min(lows), max(highs), medians)
            for mv in _stretches(record, row, fs, n_samples, how):
                file.write(np.rint((mv - offset) / scale).astype(np.int16).tobytes())
            stored.append(Stored(np.zeros(0, np.int16), scale, offset, lossy=True))
        file.flush()
        return np.memmap(file, np.int16, "r", shape=(len(stored), n_samples)), stored


def _stretches(record: Record, row: int, fs: float, n_samples: int, how: str) -> Iterator[np.ndarray]:
    """One lead in mV at `fs` Hz, a stretch at a time."""

    def read(start: int, stop: int) -> np.ndarray:
        return record.signal_mv(start, stop, [row])[0]

    for start in range(0, n_samples, _STRETCH):
        stop = min(start + _STRETCH, n_samples)
        yield resample_stretch(read, record.n_samples, record.fs, fs, start, stop, how)


def _medians(stretches: Iterator[np.ndarray]) -> Iterator[tuple[float, float, float]]:
    """The lowest, highest and median value of each."""
    for mv in stretches:
        yield float(mv.min()), float(mv.max()), float(np.median(mv))
