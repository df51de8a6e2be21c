"""What gzip made of a recording is read as the recording is."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals import read_recording, read_recordings
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import MissingLibraryError, SignalError
from fairseq_signals.formats.detect import SUFFIXES
from fairseq_signals.formats.folder import iter_records
from fairseq_signals.formats.registry import load_reader, read_with
from fairseq_signals.inference.sources import signature
from tests.formats.samples import SAMPLES


def compress(path: Path) -> Path:
    made = path.with_name(f"{path.name}.gz")
    made.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return made


@pytest.mark.parametrize(
    "name", [name for name in SAMPLES if name not in ("wfdb", "code15_hdf5", "sami_trop_hdf5")]
)
def test_a_compressed_file_is_read_as_what_it_holds_and_leaves_nothing_behind(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    try:
        load_reader(name)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    path = SAMPLES[name](tmp_path / "in", 3000)
    plain = read_recording(path)
    packed = compress(path)
    in_folder = () if name == "kardia_json" else read_recordings(tmp_path / "in")  # told by its content there
    for recording in (read_recording(packed), *in_folder):
        assert recording.record_id == plain.record_id == "a"
        np.testing.assert_array_equal(recording.signal_mv, plain.signal_mv)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_folder_lists_compressed_files_under_their_names_without_gz(tmp_path):
    for name in ("a.edf.gz", "b.EDF", "c.csv.gz", "d.txt.GZ", "e.gz", "f.pdf.gz"):
        (tmp_path / name).write_bytes(b"x")
    found = {
        record.record_id: record.path.name for record in iter_records(tmp_path, (".edf", ".csv", ".txt"))
    }
    assert found == {"a": "a.edf.gz", "b": "b.EDF", "c": "c.csv.gz", "d": "d.txt.GZ"}


def test_what_is_not_whole_or_grows_too_large_is_refused(tmp_path):
    text = "I,II\n" + "0.1,0.2\n0.3,0.4\n" * 5000
    whole = gzip.compress(text.encode())
    bomb = gzip.compress(bytes(2**26 + 2**20))
    cases = {"cut": (whole[:40], "truncated"), "text": (b"hello", "malformed"), "bomb": (bomb, "too long")}
    for name, (data, kind) in cases.items():
        (tmp_path / f"{name}.csv.gz").write_bytes(data)
        with pytest.raises(SignalError, match=f"record {name}: ") as raised:
            read_recording(tmp_path / f"{name}.csv.gz", fs=250, unit="mV")
        assert raised.value.kind == kind
    (tmp_path / "m.h5.gz").write_bytes(whole)
    with pytest.raises(SignalError, match=r"m\.h5\.gz holds many records.*Decompress it"):
        read_with("code15_hdf5", tmp_path / "m.h5.gz", index=0)


def test_compressed_files_of_wfdb_belong_to_their_header(tmp_path, write_wfdb, ecg_adu):
    for name, suffix in (("a", ".dat"), ("b", ".mat"), ("c", ".dat")):
        compress(write_wfdb(tmp_path, name, ecg_adu(), suffix=suffix).with_suffix(suffix))
    compress(tmp_path / "c.hea")
    for name in ("a", "a.dat.gz", "b.hea", "b.mat.gz", "c.hea.gz"):
        assert read_recording(tmp_path / name).leads == LEADS
    found = [(record.record_id, record.path.name) for record in iter_records(tmp_path, SUFFIXES)]
    assert sorted(found) == [("a", "a.hea"), ("b", "b.hea"), ("c", "c.hea.gz")]
    (tmp_path / "c.hea.gz").unlink()
    found = {record.path.name: record.rejected for record in iter_records(tmp_path, SUFFIXES)}
    assert found["c.dat.gz"] == "no header names the signal file c.dat.gz. Restore c.hea."


def test_the_signature_is_that_of_the_compressed_file(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(b"x")
    before = signature(tmp_path / "a.csv.gz")
    (tmp_path / "a.csv.gz").write_bytes(b"xy")
    assert signature(tmp_path / "a.csv.gz") != before
