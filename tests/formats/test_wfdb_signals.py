"""Decoding signal files with numpy, against the wfdb library."""

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.options import ReadOptions
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.formats.wfdb_signals import is_direct, missing_value, read_adu

BITS = {"16": 16, "61": 16, "80": 8, "212": 12}


def write(folder, name, adu, fmt, leads=("I", "II", "III")):
    """A record (L, T) written by the wfdb library; it cannot write 61, which is 16 with bytes swapped."""
    n, samples = len(adu), np.ascontiguousarray(adu.T, np.int64)
    wfdb.wrsamp(
        name, fs=500, units=["mV"] * n, sig_name=list(leads[:n]), d_signal=samples,
        fmt=["16" if fmt == "61" else fmt] * n, adc_gain=[200.0] * n, baseline=[0] * n, write_dir=str(folder),
    )  # fmt: skip
    header, signal_file = folder / f"{name}.hea", folder / f"{name}.dat"
    if fmt == "61":
        header.write_text(header.read_text().replace(".dat 16 ", ".dat 61 "))
        signal_file.write_bytes(np.fromfile(signal_file, "<i2").astype(">i2").tobytes())
    return header


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    fmt=st.sampled_from(sorted(BITS)),
    n_leads=st.integers(1, 3),
    n_samples=st.integers(1, 9),
    seed=st.integers(0, 999),
)
def test_samples_are_those_that_the_library_wrote(tmp_path, fmt, n_leads, n_samples, seed):
    bound = 2 ** (BITS[fmt] - 1)
    adu = np.random.default_rng(seed).integers(-bound, bound, (n_leads, n_samples))
    header = read_header(write(tmp_path, "r", adu, fmt))
    assert is_direct(header)
    np.testing.assert_array_equal(read_adu(header, "r", list(range(n_leads))), adu)


@pytest.mark.parametrize("fmt", sorted(BITS))
def test_a_missing_sample_is_what_the_library_reads_as_nan(tmp_path, fmt):
    adu = np.arange(-60, 60).reshape(2, 60)
    adu[1, 7] = missing_value(fmt)
    header = write(tmp_path, "r", adu, fmt)
    assert np.isnan(wfdb.rdrecord(str(tmp_path / "r")).p_signal.T).sum() == 1
    record = read_wfdb(header, options=ReadOptions(gaps="refuse"))
    assert record.faults == (("II", "1 of 60 samples are missing (NaN)"),)


def test_leads_are_taken_from_their_files_in_the_order_asked_for(tmp_path, ecg_adu):
    adu = ecg_adu(3, 50).clip(-2000, 2000)
    write(tmp_path, "a", adu[:2], "16")
    write(tmp_path, "b", adu[2:], "212", ["V1"])
    lines = [(tmp_path / f"{name}.hea").read_text().splitlines()[1:] for name in "ab"]
    (tmp_path / "r.hea").write_text("\n".join(["r 3 500 50", *lines[0], *lines[1]]))
    header = read_header(tmp_path / "r.hea")
    assert is_direct(header)
    np.testing.assert_array_equal(read_adu(header, "r", [2, 0]), adu[[2, 0]])
    np.testing.assert_array_equal(read_adu(header, "r", [1]), adu[[1]])


def test_the_shortest_file_decides_where_the_header_gives_no_length(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "a", ecg_adu(1, 40), ["I"])
    write_wfdb(tmp_path, "b", ecg_adu(1, 30), ["II"])
    lines = [(tmp_path / f"{name}.hea").read_text().splitlines()[1] for name in "ab"]
    (tmp_path / "r.hea").write_text("\n".join(["r 2 500", *lines]))
    assert read_wfdb(tmp_path / "r").n_samples == 30


@pytest.mark.parametrize("fmt", sorted(BITS))
def test_a_file_that_lacks_a_byte_is_refused(tmp_path, fmt):
    header = write(tmp_path, "r", np.arange(40).reshape(2, 20), fmt)
    data = (tmp_path / "r.dat").read_bytes()
    (tmp_path / "r.dat").write_bytes(data[:-1])
    with pytest.raises(SignalError, match=r"record r: r\.dat is truncated: it holds 19 samples") as error:
        read_wfdb(header)
    assert error.value.kind == "truncated"


@pytest.mark.parametrize("change", [(" 16 ", " 16x2 "), (" 16 ", " 16:3 "), (" 16 ", " 24 "), ("r.dat", "~")])
def test_other_records_are_left_to_the_library(tmp_path, write_wfdb, ecg_adu, change):
    header = write_wfdb(tmp_path, "r", ecg_adu(2), ["I", "II"])
    assert is_direct(read_header(header))
    header.write_text(header.read_text().replace(*change))
    assert not is_direct(read_header(header))


# --- checksums -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", sorted(BITS))
def test_checksums_of_the_library_agree(tmp_path, fmt):
    bound = 2 ** (BITS[fmt] - 1) - 1
    adu = np.random.default_rng(1).integers(bound // 2, bound, (3, 500))
    assert read_wfdb(write(tmp_path, "r", adu, fmt)).damaged == ()


def test_a_changed_sample_is_noticed_in_its_lead(tmp_path, ecg_adu):
    header = write(tmp_path, "r", ecg_adu(3, 100), "16")
    data = bytearray((tmp_path / "r.dat").read_bytes())
    data[2 * 3 * 50 + 2] ^= 1  # frame 50, lead II
    (tmp_path / "r.dat").write_bytes(data)
    (note,) = read_wfdb(header).damaged
    assert note.lead == "II"
    assert "add up to" in note.reason


@pytest.mark.parametrize("checksum", ["0", "x"])
def test_a_header_without_a_checksum_is_believed(tmp_path, ecg_adu, checksum):
    header = write(tmp_path, "r", ecg_adu(1, 100), "16")
    first, line = header.read_text().splitlines()[:2]
    fields = line.split()
    header.write_text("\n".join([first, " ".join([*fields[:6], checksum, *fields[7:]])]))
    assert read_wfdb(header).damaged == ()
