"""Reading rows of padded tracings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError, StoreError

h5py = pytest.importorskip("h5py")

from fairseq_signals.formats.code15_hdf5 import (  # noqa: E402
    read_code15_hdf5,
    read_contents,
    without_padding,
)


def write(path, tracings, exam_ids=None):
    with h5py.File(path, "w") as file:
        file["tracings"] = tracings
        if exam_ids is not None:
            file["exam_id"] = exam_ids
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_row_is_read_in_millivolt_at_400_hz(tmp_path, dtype):
    tracings = np.random.default_rng(0).normal(0, 1, (3, 64, 12)).astype(dtype)
    record = read_code15_hdf5(write(tmp_path / "x.hdf5", tracings), "7", 1)
    assert (record.record_id, record.fs, record.leads) == ("7", 400.0, LEADS)
    expected = tracings[1].T.astype(np.float64)
    assert np.all(np.abs(record.signal_mv() - expected) <= record.scale[:, None] / 2 + 1e-12)
    np.testing.assert_allclose(record.scale, np.abs(expected).max(axis=1) / 32767)


@settings(max_examples=40, deadline=None)
@given(
    before=st.integers(0, 20),
    after=st.integers(0, 20),
    inner=st.lists(st.booleans(), min_size=1, max_size=20),
)
def test_only_zeros_at_the_ends_are_taken_for_padding(before, after, inner):
    signal = np.zeros((before + len(inner) + 2 + after, 3), np.float32)
    there = np.array([True, *inner, True])
    signal[before : before + len(there)][there, 1] = 0.5
    kept = without_padding(signal)
    assert len(kept) == len(there)
    np.testing.assert_array_equal(kept, signal[before : before + len(there)])


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    path = tmp_path / "x.hdf5"
    ramp = np.linspace(1, 2, 50)[None, :, None] * np.ones((1, 1, 12))
    write(path, ramp)
    first = read_code15_hdf5(path, "a")
    path.unlink()
    write(path, ramp[:, :40] * 3)
    second = read_code15_hdf5(path, "a")
    assert (first.n_samples, second.n_samples) == (50, 40)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, "without a signal file"),
        (lambda path: path.write_bytes(b"no HDF5 at all"), "truncated"),
        (lambda path: write(path, np.ones((1, 50, 12))), "truncated"),  # row 1 is asked for
        (lambda path: write(path, np.zeros((2, 50, 12))), "without a usable lead"),
        (lambda path: write(path, np.ones((2, 50, 12))), "without a usable lead"),
        (lambda path: write(path, np.ones((2, 50, 8))), "unreadable"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_name(tmp_path, make, kind):
    path = tmp_path / "x.hdf5"
    make(path)
    with pytest.raises(SignalError, match="record 77: ") as refusal:
        read_code15_hdf5(path, "77", 1)
    assert refusal.value.kind == kind


def test_a_row_beyond_the_last_is_not_blamed_on_the_download(tmp_path):
    write(tmp_path / "x.hdf5", np.ones((2, 50, 12)))
    with pytest.raises(SignalError, match=r"there is no row 2 in x\.hdf5, only 2 rows$"):
        read_code15_hdf5(tmp_path / "x.hdf5", index=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"no HDF5 at all"), "cannot be read"),
        (lambda path: write(path, np.ones((2, 50))), r"a dataset of shape \(2, 50\)"),
        (lambda path: h5py.File(path, "w").close(), "but there is no dataset"),
        (lambda path: write(path, np.ones((2, 50, 12)), [1, 2, 3]), r"shape \(3,\) for 2 tracings"),
    ],
)
def test_a_file_of_another_layout_is_an_error(tmp_path, make, message):
    make(tmp_path / "x.hdf5")
    with pytest.raises(StoreError, match=message):
        read_contents(tmp_path / "x.hdf5")
