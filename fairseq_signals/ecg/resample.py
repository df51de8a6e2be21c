"""Change of sampling rate by polyphase filtering, with an anti-aliasing low-pass."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from fairseq_signals.ecg.record import Record
from fairseq_signals.ecg.units import offsets, quantise

_MAX_FACTOR = 1000  # largest up- or down-sampling factor; the rate is then right to 1 in a million


def rate_ratio(fs_in: float, fs_out: float) -> Fraction:
    """`fs_out` / `fs_in` as a fraction with numerator and denominator of at most about 1000."""
    exact = Fraction(repr(float(fs_out))) / Fraction(repr(float(fs_in)))
    return exact.limit_denominator(_MAX_FACTOR)


def resample(signal: np.ndarray, fs_in: float, fs_out: float) -> np.ndarray:
    """The signal (..., T) at another sampling rate: (..., ceil(T * fs_out / fs_in)) float64.

    Linear-phase FIR low-pass at the lower of the two Nyquist frequencies (scipy.signal.resample_poly). A line
    through the first and last sample is taken off while filtering, so that an offset makes no edge artefact.
    """
    ratio = rate_ratio(fs_in, fs_out)
    if ratio == 1:
        return np.asarray(signal, dtype=np.float64)
    from scipy.signal import resample_poly  # scipy.signal is slow to import and seldom needed

    up, down = ratio.numerator, ratio.denominator
    return resample_poly(
        np.asarray(signal, dtype=np.float64), up, down, axis=-1, window=_low_pass(up, down), padtype="line"
    )


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> np.ndarray:
    """The filter at the rate of fs_in * up: Kaiser-windowed sinc, 10 zero crossings a side, 60 dB down."""
    from scipy.signal import firwin

    widest = max(up, down)
    return firwin(2 * 10 * widest + 1, 1 / widest, window=("kaiser", 5.0))


def resample_record(record: Record, fs: float) -> Record:
    """The record at `fs` Hz; itself where that is its rate.

    Resampled values are rounded to 1/32767 of the peak of their lead.
    """
    if rate_ratio(record.fs, fs) == 1:
        return record
    signal_mv = resample(record.signal_mv(), record.fs, fs)
    stored = [quantise(lead, 0.0) for lead in signal_mv]
    return replace(
        record,
        fs=float(fs),
        signal=np.stack([lead.values for lead in stored]),
        scale=np.array([lead.scale for lead in stored]),
        offset=offsets(stored),
    )
