"""Arrays are read where something says their leads, rate and unit; nothing is unpickled."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairseq_signals import read_recording
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.arrays import read_arrays
from fairseq_signals.formats.options import ReadOptions

SIGNAL_MV = np.round(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (3, 600)), axis=1), 3)
LEADS = ("I", "II", "III")
SAID = {"fs": 250, "unit": "mV", "lead_names": LEADS}
BY_NAME = dict(zip(LEADS, SIGNAL_MV))


def npy(path, array):
    np.save(path.with_suffix(".npy"), array)
    return path.with_suffix(".npy")


def npz(path, **arrays):
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def parquet(path, metadata=None, **columns):
    pq.write_table(pa.table(columns, metadata=metadata), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


FILES = {
    "rows": (lambda p: npy(p, SIGNAL_MV), SAID),
    "columns, big-endian": (lambda p: npy(p, SIGNAL_MV.T.astype(">f4")), SAID),
    "microvolts": (lambda p: npy(p, (SIGNAL_MV * 1000).astype(np.int32)), {**SAID, "unit": "uV"}),
    "one array that says all": (lambda p: npz(p, signal=SIGNAL_MV.T, fs=250, leads=LEADS, unit="mV"), {}),
    "an array a lead": (lambda p: npz(p, **BY_NAME, fs=250), {"unit": "mV"}),
    "objects beside": (lambda p: npz(p, ecg=SIGNAL_MV, info=np.array([{}], object)), SAID),
    "metadata": (lambda p: parquet(p, {"fs": "250", "unit": "mV"}, **BY_NAME), {}),
    "a column of times": (lambda p: parquet(p, time=np.arange(600) / 250, **BY_NAME), {"unit": "mV"}),
    "timestamps": (
        lambda p: parquet(p, at=pa.array(np.arange(600) * 4, pa.timestamp("ms")), **BY_NAME), {"unit": "mV"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_an_array_is_read_as_it_is(case, tmp_path):
    make, said = FILES[case]
    recording = read_recording(make(tmp_path / "a"), **said)
    assert (recording.record_id, recording.leads, recording.fs) == ("a", LEADS, 250)
    np.testing.assert_allclose(recording.signal_mv, SIGNAL_MV, atol=1e-6)


REFUSED = {
    "no leads": (lambda p: npy(p, SIGNAL_MV), {"lead_names": None}, "3 signals without a name"),
    "other leads": (lambda p: npy(p, SIGNAL_MV), {"lead_names": "I,II"}, r"\(3, 600\), and 2 leads are"),
    "as many leads as samples": (lambda p: npy(p, SIGNAL_MV[:, :3]), {}, r"\(3, 3\), and 3 leads are named"),
    "objects": (lambda p: npy(p, np.array([{}], object)), {}, "is not a whole array of numbers"),
    "complex numbers": (lambda p: npy(p, SIGNAL_MV + 1j), {}, "it holds complex128"),
    "several arrays": (lambda p: npz(p, a=SIGNAL_MV, b=SIGNAL_MV), {}, "which of its arrays the leads are"),
    "another rate": (lambda p: npz(p, ecg=SIGNAL_MV, fs=500), {}, "500 Hz in the file, but fs=250 Hz was"),
    "zeros that claim memory": (lambda p: npz(p, ecg=np.zeros((3, 2**25), np.int8)), {}, "the file holds"),
    "rows that claim memory": (lambda p: parquet(p, I=np.zeros(2**24)), {}, "but the file holds"),
    "no rate": (lambda p: npy(p, SIGNAL_MV), {"fs": None}, "does not say its sampling rate"),
    "no unit": (lambda p: npy(p, SIGNAL_MV), {"unit": None}, "does not say the unit"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_array_that_is_not_clear_or_not_whole_is_refused(case, tmp_path):
    make, said, message = REFUSED[case]
    with pytest.raises(SignalError, match="record a: .*" + message):
        read_recording(make(tmp_path / "a"), **{**SAID, **said})


def test_a_header_that_claims_more_than_its_file_holds_is_refused(tmp_path):
    path = npy(tmp_path / "a", SIGNAL_MV)
    data = path.read_bytes()
    path.write_bytes(
        data.replace(b"(3, 600)", b"(3, 6000000000)") if b"(3, 6000000000)" in data else data[:999]
    )
    with pytest.raises(SignalError, match="is not a whole array of numbers"):
        read_arrays(path)
    (tmp_path / "b.npy").write_bytes(b"not an array")
    with pytest.raises(SignalError, match="is not an array of NumPy or a Parquet file"):
        read_arrays(tmp_path / "b.npy", options=ReadOptions())
