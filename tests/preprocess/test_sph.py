"""preprocess/sph.py on a small folder in the layout of the release."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.registry import load_reader

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("sph")


@pytest.fixture
def root(lookalike, tmp_path):
    return lookalike("sph").make(tmp_path)


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def read_h5(path):
    with h5py.File(path) as file:
        return dict(zip(LEADS, file["ecg"][:].astype(np.float64)))


def test_records_carry_patient_age_sex_and_statements(script, root, tmp_path, entries, capsys):
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
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


def test_values_are_those_of_h5py(script, root, tmp_path, entries, assert_equal_mv):
    assert run(script, root, tmp_path / "store") == 0
    for name, entry in entries(tmp_path / "store").items():
        assert_equal_mv(tmp_path / "store", entry, read_h5(root / "records" / f"{name}.h5"))


def test_table_and_files_that_do_not_match_are_reported(script, root, tmp_path, entries, rejected, capsys):
    (root / "records" / "A00001.h5").rename(root / "records" / "A00009.h5")
    (root / "records" / "A00002.h5").write_bytes(b"cut off")
    assert run(script, root, tmp_path / "store") == 0
    out, err = capsys.readouterr()
    assert out.startswith("kept 2 of 4 records; rejected 1 not downloaded, 1 unreadable")
    assert "1 records are not in" in err
    assert entries(tmp_path / "store")["A00009"]["patient_id"] is None
    assert "A00002.h5 holds no dataset `ecg`" in rejected(tmp_path / "store")["sph/A00002"]
    assert run(script, root, tmp_path / "part", "--downloaded-only") == 0
    assert capsys.readouterr().out.startswith("kept 2 of 3 records")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A00002,1,,32,F,6000,2019-09-03", "Patient_ID must be some text, but is ''"),
        ("A00002,1,S2,32,X,6000,2019-09-03", "Sex must be F, M or empty, but is 'X'"),
        ("A00001,1,S2,32,F,6000,2019-09-03", "record A00001 is listed already"),
        ("A00002,1", "there are 2 cells for 7 columns"),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(script, root, tmp_path, capsys, row, message):
    lines = (root / "metadata.csv").read_text().splitlines()
    (root / "metadata.csv").write_text("\n".join([*lines[:2], row]) + "\n")
    assert run(script, root, tmp_path / "store") == 1
    assert f"metadata.csv:3: {message}" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, "without a signal file"),
        (lambda path: h5py.File(path, "w").close(), "unreadable"),
        (
            lambda path: h5py.File(path, "w").create_dataset("ecg", data=np.ones((8, 5))).file.close(),
            "unreadable",
        ),
        (
            lambda path: h5py.File(path, "w").create_dataset("ecg", data=np.ones((12, 5))).file.close(),
            "without a usable lead",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, make, kind):
    make(tmp_path / "A1.h5")
    with pytest.raises(SignalError, match="record A1: ") as refusal:
        load_reader("sph_hdf5")(tmp_path / "A1.h5")
    assert refusal.value.kind == kind


@pytest.mark.shared
def test_the_real_records_are_read(script, shared_dir, tmp_path, entries, assert_equal_mv):
    root = shared_dir / "real_ecg" / "sph_h5"
    files = {path.stem: path for path in root.rglob("*.h5")}
    if not files or not (root / "metadata.csv").is_file():
        pytest.skip(f"no SPH record at {root}")
    assert run(script, root, tmp_path / "store", "--downloaded-only") == 0
    found = entries(tmp_path / "store")
    assert found.keys() == files.keys()
    assert any(entry["codes"] and entry["patient_id"] for entry in found.values())
    for name, path in files.items():
        assert_equal_mv(tmp_path / "store", found[name], read_h5(path))
