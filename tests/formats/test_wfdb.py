"""Reading WFDB records of format 16, and what makes a record or a lead unusable."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, derive_limb_leads
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.formats.wfdb_signals import is_direct


def test_sample_values_are_kept_and_scaled_by_gain_baseline_and_unit(tmp_path, write_wfdb):
    adu = np.array([[10, 20, 30], [10, 20, 30], [10, 20, 30], [10, 20, 30]])
    header = write_wfdb(
        tmp_path, "r", adu, ["I", "II", "V1", "V6"], gain=[1000, 200, 2, 5000], baseline=[0, 10, 0, -5],
        units=["mV", "mV", "uV", "V"],
    )  # fmt: skip
    record = read_wfdb(header)
    assert record.leads == ("I", "II", "V1", "V6")
    assert record.signal.dtype == np.int16
    np.testing.assert_array_equal(record.signal, [[10, 20, 30], [0, 10, 20], [10, 20, 30], [15, 25, 35]])
    np.testing.assert_allclose(record.scale, [1e-3, 5e-3, 5e-4, 0.2])
    np.testing.assert_allclose(record.signal_mv()[1], [0, 0.05, 0.1])


def test_leads_come_out_in_canonical_order_whatever_the_file(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu()
    shuffled = np.random.default_rng(1).permutation(12)
    straight = read_wfdb(write_wfdb(tmp_path, "a", adu))
    mixed = read_wfdb(write_wfdb(tmp_path, "b", adu[shuffled], [LEADS[i].upper() for i in shuffled]))
    assert mixed.leads == straight.leads == LEADS
    np.testing.assert_array_equal(mixed.signal, straight.signal)


def test_fifteen_leads_give_the_twelve_and_name_the_others(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(15)
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, [*LEADS, "vx", "vy", "vz"]))
    assert record.leads == LEADS
    assert [note.lead for note in record.ignored] == ["vx", "vy", "vz"]
    np.testing.assert_array_equal(record.signal, adu[:12])


def test_three_leads_are_enough(tmp_path, write_wfdb, ecg_adu):
    record = read_wfdb(write_wfdb(tmp_path, "r", ecg_adu(3), ["V2", "II", "I"]))
    assert record.leads == ("I", "II", "V2")
    assert record.faults == ()


def test_a_second_signal_of_the_same_lead_is_left_out_and_noted(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(2)
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, ["II", "MLII"]))
    np.testing.assert_array_equal(record.signal, adu[:1])
    assert record.faults[0].lead == "II"
    assert "same name" in record.faults[0].reason


def test_constant_leads_and_leads_with_missing_samples_are_left_out(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(3)
    adu[0] = 250
    adu[1, 7:40] = -32768
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, ["I", "II", "III"]))
    assert record.leads == ("III",)
    np.testing.assert_array_equal(record.signal, adu[2:])
    assert dict(record.faults) == {
        "I": "constant at 0.25 mV",
        "II": "33 of 3000 samples are missing (NaN), up to 66 ms at once; only gaps of up to 40 ms, 0.5% in "
        "all, are interpolated",
    }


def test_a_signal_that_is_no_voltage_is_left_out(tmp_path, write_wfdb, ecg_adu):
    record = read_wfdb(write_wfdb(tmp_path, "r", ecg_adu(2), ["I", "II"], units=["mmHg", "mV"]))
    assert record.leads == ("II",)
    assert "mmHg" in record.faults[0].reason


def test_values_that_do_not_fit_16_bits_are_rounded_to_the_peak(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(2)
    adu[0] = np.linspace(-32767, 32767, adu.shape[1])
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, ["I", "II"], gain=1000, baseline=[-30000, 0]))
    assert record.requantised
    expected = (adu + np.array([[30000], [0]])) / 1000
    assert np.abs(record.signal_mv() - expected)[0].max() <= record.scale[0] / 2 * 1.0001
    np.testing.assert_array_equal(record.signal[1], adu[1])
    assert np.abs(record.signal[0]).max() == 32767


def test_values_far_from_zero_are_exact_around_their_middle(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(2)
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, ["I", "II"], gain=1000, baseline=[-60000, 0]))
    assert not record.requantised
    np.testing.assert_allclose(record.signal_mv(), (adu + np.array([[60000], [0]])) / 1000, atol=1e-9)


def test_comments_reach_the_record(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(), comments=["Age: 61", " Sex: Female", "Dx: 1,2"])
    subject = read_wfdb(header).subject
    assert (subject.age, subject.sex, subject.codes) == (61, "female", ("1", "2"))


@pytest.mark.parametrize("suffix", [".dat", ".mat"])
def test_the_numpy_path_equals_the_wfdb_library(tmp_path, write_wfdb, ecg_adu, suffix):
    import wfdb

    gain = [1000, 200, 4880.5, 1e-1] * 3
    header = write_wfdb(tmp_path, "r", ecg_adu(), gain=gain, baseline=[0, 3, -17] * 4, suffix=suffix)
    assert is_direct(read_header(header))
    expected = wfdb.rdrecord(str(tmp_path / "r")).p_signal.T
    np.testing.assert_allclose(read_wfdb(header).signal_mv(), expected, rtol=1e-12, atol=1e-12)


def test_the_early_challenge_header_is_read(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu()
    header = write_wfdb(
        tmp_path, "E1", adu, suffix=".mat", record_line="E1.mat 12 500 3000 05-May-2020 14:50:55"
    )
    np.testing.assert_array_equal(read_wfdb(header).signal, adu)


def test_the_length_comes_from_the_file_where_the_header_does_not_tell(tmp_path, write_wfdb, ecg_adu):
    record = read_wfdb(write_wfdb(tmp_path, "r", ecg_adu(), record_line="r 12 500"))
    assert record.n_samples == 3000
    assert record.duration_s == 6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    gain=st.floats(0.01, 1e5),
    baseline=st.integers(-1000, 1000),
)
def test_millivolt_to_adc_units_and_back_stays_within_half_a_unit(tmp_path, write_wfdb, seed, gain, baseline):
    rng = np.random.default_rng(seed)
    mv = rng.uniform(-20000, 20000, (2, 50)) / gain
    adu = np.rint(mv * gain + baseline)
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, ["I", "V1"], gain=repr(gain), baseline=baseline))
    assert np.abs(record.signal_mv() - mv).max() <= 0.5 / gain * (1 + 1e-9)
    np.testing.assert_array_equal(record.signal, adu - baseline)


def test_the_eight_independent_leads_give_all_twelve(tmp_path, write_wfdb, ecg_adu):
    adu = ecg_adu(8)
    record = read_wfdb(write_wfdb(tmp_path, "r", adu, INDEPENDENT_LEADS, gain=1000))
    assert (record.leads, record.derived) == (LEADS, ("III", "aVR", "aVL", "aVF"))
    assert not record.requantised
    np.testing.assert_allclose(record.signal_mv()[:6], derive_limb_leads(*adu[:2] / 1000), atol=1e-12)
    np.testing.assert_array_equal(record.signal[6:], adu[2:])


# --- records that cannot be used -------------------------------------------------------------------------


def refused(header, message, kind):
    with pytest.raises(SignalError, match=message) as error:
        read_wfdb(header)
    assert header.stem in str(error.value)  # the record is named
    assert error.value.kind == kind


def test_a_missing_header_is_refused(tmp_path):
    refused(tmp_path / "r.hea", "there is no such header", "without a header")


def test_a_missing_signal_file_is_refused(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu())
    (tmp_path / "r.dat").unlink()
    refused(header, r"signal file r\.dat, named in r\.hea, is missing", "without a signal file")


@pytest.mark.parametrize("suffix", [".dat", ".mat"])
@pytest.mark.parametrize("n_bytes", [0, 10, 5000, -1])
def test_a_truncated_signal_file_is_refused(tmp_path, write_wfdb, ecg_adu, suffix, n_bytes):
    header = write_wfdb(tmp_path, "r", ecg_adu(), suffix=suffix)
    path = tmp_path / f"r{suffix}"
    path.write_bytes(path.read_bytes()[:n_bytes])
    refused(header, rf"r\{suffix} is truncated: it holds \d+ samples per lead, but .* 3000", "truncated")


def test_a_matlab_file_of_another_kind_is_refused(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(), suffix=".mat")
    path = tmp_path / "r.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, ..." + path.read_bytes())
    refused(header, "not the MATLAB version 4 matrix", "unreadable")


def test_a_lead_without_gain_is_left_out_alone(tmp_path, write_wfdb, ecg_adu):
    record = read_wfdb(write_wfdb(tmp_path, "r", ecg_adu(), gain=[1000] * 4 + [0] + [1000] * 7))
    assert record.faults == (("aVL", "the file gives it no gain, so its millivolts are unknown"),)
    assert len(record.leads) == 11


def test_zero_gain_of_a_signal_that_is_not_used_does_not_matter(tmp_path, write_wfdb, ecg_adu):
    assert read_wfdb(write_wfdb(tmp_path, "r", ecg_adu(2), ["I", "vx"], gain=[200, 0])).leads == ("I",)


def test_unknown_lead_names_are_refused_with_the_names(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(2), ["ECG 1", "chan2"])
    refused(
        header,
        r"none of its 2 signals is one of the 12 leads \('ECG 1', 'chan2'\)",
        "without any of the 12 leads",
    )
    header = write_wfdb(tmp_path, "r", ecg_adu(3), ["EEG C3", "EOG", "ekg"])
    refused(header, "with --lead-names .*, such as 'ekg=II'", "without any of the 12 leads")


def test_a_record_without_a_usable_lead_is_refused_with_the_reasons(tmp_path, write_wfdb):
    header = write_wfdb(tmp_path, "r", np.array([[5] * 9, [-32768] * 9]), ["I", "II"])
    refused(
        header,
        r"no usable lead \(I: constant at 0.005 mV; II: 9 of 9 samples are missing",
        "without a usable lead",
    )


@pytest.mark.parametrize("fs", ["0", "1", "0.0167", "1e6", "nan"])
def test_an_impossible_sampling_rate_is_refused(tmp_path, write_wfdb, ecg_adu, fs):
    header = write_wfdb(tmp_path, "r", ecg_adu(), fs=fs)
    refused(
        header,
        "sampling rate in its header is .* Hz, outside 50-20000 Hz",
        "with an unexpected sampling rate",
    )


def test_an_empty_record_is_refused(tmp_path, write_wfdb):
    header = write_wfdb(tmp_path, "r", np.zeros((2, 0)), ["I", "II"])
    refused(header, "truncated", "truncated")


def test_reading_format_16_imports_neither_torch_nor_fairseq_nor_wfdb(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu())
    code = (
        "import sys; from pathlib import Path; "
        "from fairseq_signals.commands.store_arguments import build_store; "
        "from fairseq_signals.formats.wfdb import read_wfdb; read_wfdb(Path(sys.argv[1])); "
        "print([m for m in ('torch', 'fairseq', 'wfdb', 'pandas', 'scipy.signal') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(header)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("gain", ["1e-320", "inf", "nan"])
def test_a_gain_without_a_finite_millivolt_is_refused(tmp_path, write_wfdb, ecg_adu, gain):
    header = write_wfdb(tmp_path, "r", ecg_adu(1), ["I"], gain=gain)
    refused(header, "I: the file gives it no gain", "with zero gain")
