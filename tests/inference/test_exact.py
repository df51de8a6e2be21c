"""Samples that 16 bits would round reach a model as they are in the file; stores round them as before."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairseq_signals import read_recording, read_recordings
from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, derive_limb_leads
from fairseq_signals.ecg.units import quantise
from fairseq_signals.formats.detect import detect_reader
from fairseq_signals.formats.registry import read_with
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.reading import RecordStore

#: Off the grid of every ADC; float16, as one of the layouts of HDF5 has it.
MV = np.random.default_rng(0).normal(0, 0.3, (12, 3000)).astype(np.float16).astype(np.float32)


def _npz(path, signal=MV, leads=LEADS):
    np.savez(path.with_suffix(".npz"), signal=signal, fs=500, leads=leads, unit="mV")
    return path.with_suffix(".npz")


def _hdf5(path):
    import h5py

    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["ecg"] = MV.astype(np.float16)
    return path.with_suffix(".h5")


def _csv(path):
    rows = np.column_stack([np.arange(MV.shape[1]) / 500, MV.T])
    header = ",".join(["time (s)", *(f"{lead} (mV)" for lead in LEADS)])
    np.savetxt(path.with_suffix(".csv"), rows, "%.9g", ",", header=header, comments="")
    return path.with_suffix(".csv")


def _parquet(path):
    table = pa.table(dict(zip(LEADS, MV)), metadata={"fs": "500", "unit": "mV"})
    pq.write_table(table, path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


@pytest.fixture(params=["mat", "npz", "hdf5", "csv", "parquet"])
def file(request, tmp_path, lookalike):
    """A file of each kind that holds `MV`."""
    if request.param == "mat":
        return lookalike("authors_mat").write_segment(tmp_path / "a.mat", MV)
    return {"npz": _npz, "hdf5": _hdf5, "csv": _csv, "parquet": _parquet}[request.param](tmp_path / "a")


def test_floats_are_read_for_inference_as_they_are_in_the_file_and_stored_in_16_bits(file, tmp_path):
    for recording in (read_recording(file), *read_recordings(file)):
        np.testing.assert_allclose(recording.signal_mv, MV, rtol=1e-7)
        assert not any("16 bits" in note for note in recording.notes)
    reader = detect_reader(file)
    record = read_with(reader, file)
    assert (record.signal.dtype, record.requantised) == (np.int16, True)
    build_store([Item("s", "a", str(file), reader=reader)], tmp_path / "store", workers=1, progress=False)
    expected = [quantise(lead.astype(np.float64), 0.0) for lead in MV]
    np.testing.assert_allclose(record.signal, [lead.values for lead in expected], atol=1)  # of ties
    stored, _ = RecordStore(tmp_path / "store").read("shard-00000.arrow", 0)
    np.testing.assert_allclose(stored, record.signal_mv(), rtol=1e-6)


def test_a_model_gives_a_file_of_floats_what_it_gives_the_array(encoder, tmp_path):
    np.testing.assert_array_equal(encoder.embed(_npz(tmp_path / "a")), encoder.embed(MV, fs=500))


def test_an_offset_costs_no_resolution(tmp_path):
    far = MV.astype(np.float64) + 187.3
    recording = read_recording(_npz(tmp_path / "a", far))
    np.testing.assert_allclose(recording.signal_mv - 187.3, MV, rtol=0, atol=1e-7)


def test_leads_on_a_grid_and_those_computed_keep_their_values_beside_exact_ones(tmp_path):
    eight = MV[: len(INDEPENDENT_LEADS)].copy()
    eight[5] = np.rint(eight[5] * 1000)  # whole millivolts
    recording = read_recording(_npz(tmp_path / "a", eight, INDEPENDENT_LEADS))
    expected = dict(zip(INDEPENDENT_LEADS, eight))
    expected |= dict(zip(("III", "aVR", "aVL", "aVF"), derive_limb_leads(*eight[:2].astype(np.float64))[2:]))
    assert recording.leads == LEADS
    assert recording.samples.signal.dtype == np.float32
    for lead, row in zip(recording.leads, recording.signal_mv):
        np.testing.assert_allclose(row, expected[lead], rtol=1e-6, atol=1e-7)


def test_records_that_fit_16_bits_stay_in_them(tmp_path, write_wfdb, ecg_adu):
    path = write_wfdb(tmp_path, "a", ecg_adu())
    assert read_recording(path).samples.signal.dtype == np.int16
