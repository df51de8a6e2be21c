"""preprocess/sami_trop.py on a small folder in the layout of the release."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("sami_trop")


@pytest.fixture(scope="module")
def corpus(lookalike):
    return lookalike("sami_trop")


@pytest.fixture
def root(corpus, tmp_path):
    return corpus.make(tmp_path)


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def test_exams_carry_age_and_sex_and_the_rest_of_the_table(script, root, tmp_path, entries, capsys):
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    keys = ("source", "patient_id", "age", "sex", "codes", "fs")
    assert {record_id: tuple(entry[key] for key in keys) for record_id, entry in found.items()} == {
        "248287": ("sami-trop", None, 59, "male", [], 500),
        "291209": ("sami-trop", None, 31, "female", [], 500),
        "294669": ("sami-trop", None, 66, "male", [], 500),
    }
    assert found["291209"]["attributes"] == {
        "normal_ecg": "True", "death": "True", "timey": "1.5", "nn_predicted_age": "44.08",
    }  # fmt: skip
    assert capsys.readouterr().out == "kept 3 of 3 records; 3 resampled from 400 Hz\n"


def test_rows_of_the_table_and_of_the_signals_belong_together(
    script, corpus, root, tmp_path, entries, assert_equal_mv
):
    assert run(script, root, tmp_path / "store", "--fs", "400") == 0
    found = entries(tmp_path / "store")
    with h5py.File(root / "exams.hdf5") as file:
        for (n_samples, (exam_id, *_)), padded in zip(corpus.EXAMS, file["tracings"]):
            before = (4096 - n_samples) // 2
            signal = padded[before : before + n_samples].astype(np.float64)
            assert_equal_mv(tmp_path / "store", found[exam_id], dict(zip(LEADS, signal.T)))


def test_names_in_the_signal_file_are_checked(script, root, tmp_path, capsys):
    with h5py.File(root / "exams.hdf5", "a") as file:
        file["exam_id"] = [294669, 291209, 248287]
    assert run(script, root, tmp_path / "store") == 0
    with h5py.File(root / "again.hdf5", "w") as file:
        file["tracings"] = np.ones((3, 9, 12))
        file["exam_id"] = [294669, 248287, 291209]
    (root / "again.hdf5").replace(root / "exams.hdf5")
    assert run(script, root, tmp_path / "other") == 1
    assert "exams.csv:3: exam 291209 is not row 2 of exams.hdf5" in capsys.readouterr().err


def lose_a_row(root):
    lines = (root / "exams.csv").read_text().splitlines()
    (root / "exams.csv").write_text("\n".join(lines[:-1]) + "\n")


def lose_a_column(root):
    (root / "exams.csv").write_text("exam_id,age\n1,2\n")


def cut(root):
    (root / "exams.hdf5").write_bytes((root / "exams.hdf5").read_bytes()[:2000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_a_row, "2 exams are listed, but exams.hdf5 has 3, so it is not known which is which"),
        (lose_a_column, "exams.csv:1: there is no column is_male"),
        (cut, "exams.hdf5: the file cannot be read"),
        (lambda root: (root / "exams.hdf5").unlink(), "Unzip exams.zip of the release"),
        (lambda root: (root / "exams.csv").unlink(), "exams.csv: there is no such table"),
    ],
)
def test_a_folder_that_is_not_as_the_release_is_an_error_in_one_line(
    script, root, tmp_path, capsys, spoil, message
):
    spoil(root)
    assert run(script, root, tmp_path / "store") == 1
    err = capsys.readouterr().err
    assert err.startswith("StoreError: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.shared
def test_the_real_exams_as_wfdb_go_through_wfdb_folder(
    load_script, shared_dir, tmp_path, entries, rejected, assert_equal_mv, wfdb_mv
):
    root = shared_dir / "real_ecg" / "code15_samitrop"
    headers = {path.stem: path for path in root.glob("**/*.hea")}
    if not headers:
        pytest.skip(f"no exams at {root}")
    dest = tmp_path / "store"
    options = ["--dest", str(dest), "--source", "code15", "--fs", "400", "--workers", "1"]
    assert load_script("wfdb_folder").main([str(root), *options]) == 0
    found = entries(dest)
    assert len(found) + len(rejected(dest)) == len(headers)
    for entry in found.values():
        assert entry["attributes"]["Chagas label"] in ("True", "False")
        assert entry["sex"] in ("female", "male")
        assert 0 < entry["age"] < 120
    for record_id in sorted(found)[:: max(1, len(found) // 20)]:
        assert_equal_mv(dest, found[record_id], wfdb_mv(headers[record_id]))
