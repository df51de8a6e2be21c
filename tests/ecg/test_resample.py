"""Change of sampling rate."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.ecg import resample as resampling
from fairseq_signals.ecg.resample import (
    RESAMPLERS,
    rate_ratio,
    resample,
    resample_record,
    resample_stretch,
    resampled_length,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.formats.wfdb import read_wfdb


def tone(frequency, fs, seconds=10.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * fs)) / fs)


@pytest.mark.parametrize(
    ("fs_in", "ratio"),
    [(1000, "1/2"), (257, "500/257"), (400, "5/4"), (360, "25/18"), (500.0, "1"), (128, "125/32")],
)
def test_the_ratio_is_exact_for_whole_rates(fs_in, ratio):
    assert rate_ratio(fs_in, 500) == Fraction(ratio)


@given(st.floats(50, 20000))
def test_the_ratio_of_any_rate_is_right_to_a_thousandth(fs):
    assert float(rate_ratio(fs, 500)) * fs == pytest.approx(500, rel=1e-3)


@pytest.mark.parametrize("fs_in", [100, 257, 360, 400, 1000, 1024.5])
def test_a_tone_in_the_pass_band_keeps_amplitude_and_phase(fs_in):
    out = resample(tone(20, fs_in), fs_in, 500)
    expected = tone(20, 500, 11)[: len(out)]
    assert np.abs(out - expected)[200:-200].max() < 0.01


@pytest.mark.parametrize(("fs_in", "frequency"), [(1000, 320), (1000, 480), (2000, 700)])
def test_a_tone_above_the_new_nyquist_frequency_is_removed(fs_in, frequency):
    out = resample(tone(frequency, fs_in), fs_in, 500)
    assert np.abs(out)[200:-200].max() < 2e-3  # plain decimation would leave an alias of amplitude 1


@pytest.mark.parametrize(
    ("fs_in", "n_in", "n_out"), [(1000, 10000, 5000), (257, 1285, 2500), (400, 4096, 5120)]
)
def test_the_duration_stays(fs_in, n_in, n_out):
    assert resample(np.zeros((12, n_in)), fs_in, 500).shape == (12, n_out)


def test_an_offset_makes_no_artefact_at_the_edges():
    out = resample(np.full(1000, 5.0), 1000, 500)
    np.testing.assert_allclose(out, 5.0, atol=1e-9)


def test_a_record_at_the_right_rate_is_not_touched(tmp_path, write_wfdb, ecg_adu):
    record = read_wfdb(write_wfdb(tmp_path, "r", ecg_adu()))
    assert resample_record(record, 500) is record


def test_a_resampled_record_is_rounded_to_the_peak_of_each_lead(tmp_path, write_wfdb, ecg_adu):
    record = read_wfdb(write_wfdb(tmp_path, "r", ecg_adu(), fs=400))
    out = resample_record(record, 500)
    assert (out.fs, out.n_samples, out.leads) == (500.0, 3750, record.leads)
    exact = resample(record.signal_mv(), 400, 500)
    assert (np.abs(out.signal_mv() - exact) <= out.scale[:, None] / 2 * 1.0001).all()
    assert (np.abs(out.signal).max(axis=1) == 32767).all()


@pytest.mark.parametrize(
    ("fs_in", "fs_out"), [(250, 500), (500, 250), (257, 500), (360, 500), (1000, 500), (500, 500)]
)
@pytest.mark.parametrize("how", RESAMPLERS)
def test_a_stretch_is_that_part_of_the_whole_to_the_bit(fs_in, fs_out, how):
    signal = np.random.default_rng(0).normal(size=(2, 3011)).cumsum(axis=1) + 50
    whole = resample(signal, fs_in, fs_out, how)
    n = resampled_length(3011, fs_in, fs_out, how)
    assert whole.shape[1] == n
    for start, stop in [(0, n), (0, 40), (700, 900), (n - 9, n), (n // 2, n // 2 + 1), (5, 5)]:
        part = resample_stretch(lambda a, b: signal[:, a:b], 3011, fs_in, fs_out, start, stop, how)
        assert np.array_equal(part, whole[:, start:stop])


@pytest.mark.parametrize("how", RESAMPLERS)
def test_a_long_record_is_resampled_in_stretches_to_the_same_values(
    tmp_path, write_wfdb, ecg_adu, monkeypatch, how
):
    adu = np.tile(ecg_adu(2), 4)
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, ["I", "II"], fs=360))
    whole = resample_record(record, 500, how=how)
    monkeypatch.setattr(resampling, "LONG", 1)
    monkeypatch.setattr(resampling, "_STRETCH", 1000)
    long = resample_record(record, 500, tmp_path, how)
    assert isinstance(long.signal, np.memmap)
    np.testing.assert_array_equal(long.signal, whole.signal)
    np.testing.assert_array_equal(long.scale, whole.scale)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".dat", ".hea"]


@pytest.mark.parametrize(
    ("n_in", "fs_in", "n_out"),
    [(2934, 400, 3667), (4096, 400, 5120), (5000, 1000, 2500), (1285, 257, 2500), (1, 250, 2), (3, 1000, 1)],
)
def test_linear_resampling_keeps_the_end_points_and_is_straight_between_samples(n_in, fs_in, n_out):
    signal = np.random.default_rng(n_in).normal(size=(2, n_in))
    out = resample(signal, fs_in, 500, "linear")
    assert out.shape[1] == n_out == resampled_length(n_in, fs_in, 500, "linear")
    for row, expected in zip(out, signal):
        np.testing.assert_allclose(
            row, np.interp(np.linspace(0, n_in - 1, n_out), np.arange(n_in), expected), rtol=0, atol=1e-11
        )
    assert np.array_equal(out[:, 0], signal[:, 0])
    assert n_out == 1 or np.array_equal(out[:, -1], signal[:, -1])


def test_a_sample_alone_stays_and_equal_rates_change_nothing():
    assert resample(np.ones((2, 1)), 1000, 500, "linear").tolist() == [[1.0], [1.0]]
    signal = np.random.default_rng(0).normal(size=(2, 50))
    assert np.array_equal(resample(signal, 500, 500, "linear"), signal)


def test_a_resampler_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="polyphase or linear, but is 'cubic'"):
        resample(np.zeros((1, 9)), 250, 500, "cubic")
