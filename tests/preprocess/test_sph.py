"""preprocess/sph.py on a small folder in the layout of the release."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.registry import load_reader

h5py = pytest.importorskip("h5py")


def read_h5(path):
    with h5py.File(path) as file:
        return dict(zip(LEADS, file["ecg"][:].astype(np.float64)))


def test_records_carry_patient_age_sex_and_statements(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "fs", "n_samples")
    assert {name: tuple(entry[key] for key in keys) for name, entry in found.items()} == {
        "A00001": ("sph", "S00001", 55, "male", ["22", "23"], 500, 5000),
        "A00002": ("sph", "S00002", 32, "female", ["60+310", "22"], 500, 6000),
        "A00003": ("sph", "S00002", 33, "female", ["1"], 500, 5000),
    }
    assert found["A00001"]["attributes"] == {"N": "5000", "Date": "2020-03-04"}
    out, err = capsys.readouterr()
    assert out.startswith("kept 3 of 3 records")
    assert "warning" not in err


def test_values_are_those_of_h5py(root, assert_equal_mv, stored):
    for name, entry in stored().items():
        assert_equal_mv(entry, read_h5(root / "records" / f"{name}.h5"))


def test_table_and_files_that_do_not_match_are_reported(root, entries, rejected, capsys, stored):
    (root / "records" / "A00001.h5").rename(root / "records" / "A00009.h5")
    (root / "records" / "A00002.h5").write_bytes(b"cut off")
    stored()
    out, err = capsys.readouterr()
    assert out.startswith("kept 2 of 4 records; rejected 1 not downloaded, 1 unreadable")
    assert "1 records are not in" in err
    assert entries()["A00009"]["patient_id"] is None
    assert "A00002.h5 holds no dataset `ecg`" in rejected()["sph/A00002"]
    stored("--downloaded-only", dest="part")
    assert capsys.readouterr().out.startswith("kept 2 of 3 records")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A00002,1,S2,32,X,6000,2019-09-03", "Sex must be F, M or empty, but is 'X'"),
        ("A00001,1,S2,32,F,6000,2019-09-03", "record A00001 is listed already"),
        ("A00002,1", "there are 2 cells for 7 columns"),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(root, row, message, fails):
    lines = (root / "metadata.csv").read_text().splitlines()
    (root / "metadata.csv").write_text("\n".join([*lines[:2], row]) + "\n")
    assert f"metadata.csv:3: {message}" in fails()


@pytest.mark.parametrize(
    ("datasets", "kind"),
    [
        (None, "without a signal file"),
        ({}, "unreadable"),
        ({"ecg": np.ones((8, 5))}, "unreadable"),
        ({"ecg": np.ones((12, 5))}, "without a usable lead"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, datasets, kind):
    if datasets is not None:
        with h5py.File(tmp_path / "A1.h5", "w") as file:
            file.update(datasets)
    with pytest.raises(SignalError, match="record A1: ") as refusal:
        load_reader("sph_hdf5")(tmp_path / "A1.h5")
    assert refusal.value.kind == kind


@pytest.mark.shared
def test_the_real_records_are_read(assert_equal_mv, stored, real):
    root = real("sph_h5", "**/*.h5", "metadata.csv")
    files = {path.stem: path for path in root.rglob("*.h5")}
    found = stored("--downloaded-only", root=root)
    assert found.keys() == files.keys()
    assert any(entry["codes"] and entry["patient_id"] for entry in found.values())
    for name, path in files.items():
        assert_equal_mv(found[name], read_h5(path))
