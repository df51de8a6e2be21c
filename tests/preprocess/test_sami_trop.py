"""preprocess/sami_trop.py on a small folder in the layout of the release."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS

h5py = pytest.importorskip("h5py")


def test_exams_carry_age_and_sex_and_the_rest_of_the_table(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "fs")
    assert {record_id: tuple(entry[key] for key in keys) for record_id, entry in found.items()} == {
        "248287": ("sami-trop", None, 59, "male", [], 500),
        "291209": ("sami-trop", None, 31, "female", [], 500),
        "294669": ("sami-trop", None, 66, "male", [], 500),
    }
    assert found["291209"]["attributes"] == {
        "normal_ecg": "True", "death": "True", "timey": "1.5", "nn_predicted_age": "44.08",
        "amplitude_factor": "0.5",
    }  # fmt: skip
    told = "kept 3 of 3 records; 3 resampled from 400 Hz; 3 with samples multiplied by 0.5\n"
    assert capsys.readouterr().out == told


def test_rows_of_the_table_and_of_the_signals_belong_together(corpus, root, assert_equal_mv, stored):
    found = stored("--fs", "400")
    with h5py.File(root / "exams.hdf5") as file:
        for (n_samples, (exam_id, *_)), padded in zip(corpus.EXAMS, file["tracings"]):
            before = (4096 - n_samples) // 2
            signal = padded[before : before + n_samples].astype(np.float64)
            assert_equal_mv(found[exam_id], dict(zip(LEADS, signal.T / 2)))


def test_names_in_the_signal_file_are_checked(root, stored, fails):
    with h5py.File(root / "exams.hdf5", "a") as file:
        file["exam_id"] = [294669, 291209, 248287]
    stored()
    with h5py.File(root / "again.hdf5", "w") as file:
        file["tracings"] = np.ones((3, 9, 12))
        file["exam_id"] = [294669, 248287, 291209]
    (root / "again.hdf5").replace(root / "exams.hdf5")
    assert "exams.csv:3: exam 291209 is not row 2 of exams.hdf5" in fails(dest="other")


def lose_a_row(root):
    lines = (root / "exams.csv").read_text().splitlines()
    (root / "exams.csv").write_text("\n".join(lines[:-1]) + "\n")


def cut(root):
    (root / "exams.hdf5").write_bytes((root / "exams.hdf5").read_bytes()[:2000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_a_row, "2 exams are listed, but exams.hdf5 has 3, so it is not known which is which"),
        (
            lambda root: (root / "exams.csv").write_text("exam_id,age\n1,2\n"),
            "exams.csv:1: there is no column is_male",
        ),
        (cut, "exams.hdf5: the file cannot be read"),
        (lambda root: (root / "exams.hdf5").unlink(), "Unzip exams.zip of the release"),
        (lambda root: (root / "exams.csv").unlink(), "exams.csv: there is no such table"),
    ],
)
def test_a_folder_that_is_not_as_the_release_is_an_error_in_one_line(root, spoil, message, fails, tmp_path):
    spoil(root)
    error = fails()
    assert not (tmp_path / "store").exists()
    assert error.startswith("StoreError: ")
    assert message in error


@pytest.mark.shared
def test_the_real_exams_as_wfdb_go_through_wfdb_folder(rejected, stored, real, assert_equal_wfdb):
    root = real("code15_samitrop", "**/*.hea")
    headers = {path.stem: path for path in root.glob("**/*.hea")}
    found = stored("--source", "code15", "--fs", "400", root=root, script="wfdb_folder")
    assert len(found) + len(rejected()) == len(headers)
    for entry in found.values():
        assert entry["attributes"]["Chagas label"] in ("True", "False")
        assert entry["sex"] in ("female", "male")
        assert 0 < entry["age"] < 120
    assert_equal_wfdb(found, headers.get)
