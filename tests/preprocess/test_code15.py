"""preprocess/code15.py on a small folder in the layout of the release."""

import errno

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS

h5py = pytest.importorskip("h5py")


def test_exams_carry_patient_age_sex_and_the_six_diagnoses(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "fs")
    assert {record_id: tuple(entry[key] for key in keys) for record_id, entry in found.items()} == {
        "1169160": ("code15", "523632", 38, "male", [], 500),
        "168405": ("code15", "523632", 67, "male", ["SB"], 500),
        "271011": ("code15", "1737282", 41, "female", [], 500),
        "2873686": ("code15", "1724173", 73, "female", ["1dAVb", "AF"], 500),
    }
    assert found["271011"]["attributes"] == {
        "nn_predicted_age": "69.75026", "death": "True", "timey": "0.5", "normal_ecg": "False",
        "trace_file": "exams_part0.hdf5", "amplitude_factor": "0.5",
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 4 of 4 records; 4 resampled from 400 Hz; 4 with samples multiplied by 0.5\n"
    assert "warning" not in err


def test_the_padding_is_removed_and_values_are_those_of_h5py(corpus, root, assert_equal_mv, stored):
    found = stored("--fs", "400")
    lengths = {row["exam_id"]: n for n, row in corpus.EXAMS}
    assert {record_id: entry["n_samples"] for record_id, entry in found.items()} == lengths
    for path in root.glob("*.hdf5"):
        with h5py.File(path) as file:
            for exam_id, padded in zip(file["exam_id"], file["tracings"]):
                if exam_id == 0:
                    continue
                before = (4096 - lengths[str(exam_id)]) // 2
                signal = padded[before : before + lengths[str(exam_id)]].astype(np.float64)
                assert_equal_mv(found[str(exam_id)], dict(zip(LEADS, signal.T / 2)))


def test_resampled_exams_keep_their_duration(stored):
    seconds = {record_id: e["n_samples"] / e["fs"] for record_id, e in stored().items()}
    assert seconds == pytest.approx(
        {"1169160": 10.24, "168405": 7, "271011": 10.0025, "2873686": 7.335}, abs=3e-3
    )


def test_exams_of_missing_parts_are_rejected_by_that_reason_or_left_out(root, rejected, capsys, stored):
    (root / "exams_part0.hdf5").rename(root / "exams_part0.zip")
    stored()
    assert capsys.readouterr().out.startswith("kept 1 of 4 records; rejected 3 not downloaded")
    reasons = rejected()
    assert list(reasons) == ["code15/168405", "code15/271011", "code15/2873686"]
    for reason in reasons.values():
        assert "it is in exams_part0.hdf5, which is not there. Unzip exams_part0.zip" in reason
    stored("--downloaded-only", dest="part")
    out, err = capsys.readouterr()
    assert out.startswith("kept 1 of 1 records")
    assert "3 records are in the tables and not on disk" in err
    assert rejected("part") == {}


def test_parts_may_lie_in_folders_of_their_own(root, capsys, stored):
    (root / "exams_part1").mkdir()
    (root / "exams_part1.hdf5").rename(root / "exams_part1" / "exams_part1.hdf5")
    stored()
    assert capsys.readouterr().out.startswith("kept 4 of 4 records")


def test_a_part_that_the_disk_does_not_give_is_not_available(root, run, monkeypatch, capsys):
    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(h5py, "File", broken)
    assert run() == 1
    assert "4 not available" in capsys.readouterr().err


def test_a_damaged_part_is_reported_and_the_others_are_stored(root, rejected, capsys, stored):
    path = root / "exams_part0.hdf5"
    path.write_bytes(path.read_bytes()[:3000])
    stored()
    out, err = capsys.readouterr()
    assert out.startswith("kept 1 of 4 records; rejected 3 unreadable")
    assert "exams_part0.hdf5: the file cannot be read" in err
    assert len(rejected()) == 3


def test_exams_that_the_table_does_not_list_are_kept_and_counted(corpus, root, capsys, stored):
    corpus.write_table(root / "exams.csv", corpus.COLUMNS, [row for _, row in corpus.EXAMS[:3]])
    unlisted = stored()["271011"]
    assert (unlisted["patient_id"], unlisted["codes"], unlisted["age"]) == (None, [], None)
    assert "1 exams of" in capsys.readouterr().err


def test_an_exam_that_its_part_does_not_have_is_rejected(corpus, root, rejected, stored):
    rows = [{**row, "trace_file": "exams_part1.hdf5"} for _, row in corpus.EXAMS]
    corpus.write_table(root / "exams.csv", corpus.COLUMNS, rows[:2])
    stored()
    assert "it is in exams_part1.hdf5, but it is not" in rejected()["code15/2873686"]


def test_leads_without_signal_and_empty_exams_are_noted(root, rejected, stored):
    with h5py.File(root / "exams_part0.hdf5", "a") as file:
        file["tracings"][0, :, 3] = 0
        file["tracings"][1] = 0
        file["tracings"][2, 2000:2100, 5] = np.nan
    found = stored()
    assert found["2873686"]["leads"] == [lead for lead in LEADS if lead != "aVR"]
    assert found["271011"]["leads"] == [lead for lead in LEADS if lead != "aVF"]
    assert "all samples of row 1 of exams_part0.hdf5 are zero" in rejected()["code15/168405"]


def test_a_changed_part_is_noticed(root, stored, run, capsys):
    stored()
    copy = root / "copy"
    copy.write_bytes((root / "exams_part0.hdf5").read_bytes())
    with h5py.File(copy, "a") as file:
        file["exam_id"][3] = 77
    copy.replace(root / "exams_part0.hdf5")
    assert run() == 1
    assert "other records or options" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"exam_id": "x"}, "exam_id must be a whole number, but is 'x'"),
        ({"is_male": "male"}, "is_male must be True, False or empty, but is 'male'"),
        ({"AF": "maybe"}, "AF must be True, False or empty, but is 'maybe'"),
        ({"exam_id": "1169160", "trace_file": "exams_part1.hdf5"}, "exam_id 1169160 is listed already"),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(corpus, root, cells, message, fails):
    rows = [corpus.EXAMS[0][1], {**corpus.EXAMS[1][1], **cells}]
    corpus.write_table(root / "exams.csv", corpus.COLUMNS, rows)
    assert f"exams.csv:3: {message}" in fails()


def break_table(root):
    (root / "exams.csv").write_text("exam_id,age\n1,2\n")


def break_row(root):
    with (root / "exams.csv").open("a") as file:
        file.write("1,2,3\n")


def drop_parts(root):
    for path in root.glob("*.hdf5"):
        path.unlink()


def rename_dataset(root):
    with h5py.File(root / "exams_part0.hdf5", "a") as file:
        del file["exam_id"]


def copy_part(root):
    (root / "again").mkdir()
    (root / "again" / "exams_part0.hdf5").write_bytes((root / "exams_part0.hdf5").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_table, "exams.csv:1: there is no column is_male, 1dAVb, "),
        (break_row, "exams.csv:6: there are 3 cells for 15 columns"),
        (lambda root: (root / "exams.csv").unlink(), "exams.csv: there is no such table"),
        (drop_parts, "there is no part (exams_part0.hdf5, ...)"),
        (rename_dataset, "exams_part0.hdf5: there is no dataset exam_id"),
        (copy_part, "have one name"),
    ],
)
def test_a_folder_that_is_not_as_the_release_is_an_error_in_one_line(root, spoil, message, fails):
    spoil(root)
    error = fails()
    assert error.startswith("StoreError: ")
    assert message in error


@pytest.mark.shared
def test_real_exams_in_the_layout_of_the_release_go_through(
    script, corpus, tmp_path, assert_equal_mv, stored, real
):
    """The real float32 values are at hand as .mat files with the rows of exams.csv, without the padding."""
    import csv

    import scipy.io

    folder = real("code15_processed_mat", "meta.csv", "org/*.mat")
    with (folder / "meta.csv").open(newline="") as file:
        rows = {row["exam_id"]: row for row in csv.DictReader(file)}
    mats = {path.stem.rpartition("_")[2]: path for path in folder.glob("org/*.mat")}
    signals = {name: scipy.io.loadmat(mats[name])["feats"].T for name in rows.keys() & mats.keys()}
    assert signals
    root = tmp_path / "code15"
    root.mkdir()
    table = [{key: rows[name][key] for key in corpus.COLUMNS} for name in signals]
    corpus.write_table(root / "exams.csv", corpus.COLUMNS, table)
    for part in {row["trace_file"] for row in table}:
        names = [row["exam_id"] for row in table if row["trace_file"] == part]
        with h5py.File(root / part, "w") as file:
            file["exam_id"] = np.array([int(name) for name in names] + [0])
            file["tracings"] = np.stack(
                [corpus.pad(signals[name]) for name in names] + [np.zeros((4096, 12))]
            )
    found = stored("--fs", "400", root=root)
    assert found.keys() == signals.keys()
    for name, entry in found.items():
        assert entry["patient_id"] == rows[name]["patient_id"]
        assert set(entry["codes"]) == {label for label in script.LABELS if rows[name][label] == "True"}
        assert_equal_mv(entry, dict(zip(LEADS, signals[name].T.astype(np.float64) / 2)))
