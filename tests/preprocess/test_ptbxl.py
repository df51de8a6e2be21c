"""preprocess/ptbxl.py on a small folder in the layout of the release."""

import shutil

import pytest

from manifests import classification


def rewrite(corpus, root, rows):
    """Write the table of the release anew, with some cells changed."""
    rows = [{**row, **corpus.names(row["ecg_id"]), **changed} for row, changed in zip(corpus.RECORDS, rows)]
    corpus.write_table(root / "ptbxl_database.csv", corpus.COLUMNS, rows)


def test_records_carry_patient_age_sex_statements_and_report(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "report", "fs", "n_samples")
    assert {record_id: tuple(entry[key] for key in keys) for record_id, entry in found.items()} == {
        "00001_hr": (
            "ptb-xl", "15709", 56, "female", ["NORM", "SR"], "sinusrhythmus normales ekg", 500, 5000,
        ),
        "00002_hr": ("ptb-xl", "13243", None, "male", [], None, 500, 5000),
        "00003_hr": (
            "ptb-xl", "15709", 57, "female", ["IMI", "AFIB"], 'infarkt, "alt"; vorhofflimmern', 500, 5000,
        ),
        "00004_hr": ("ptb-xl", "20372", None, "male", ["SR"], "sinus rhythm.", 500, 5000),
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 4 of 4 records\n"
    assert "warning" not in err


def test_likelihoods_folds_dates_and_signal_quality_are_attributes(stored):
    found = stored()
    assert found["00001_hr"]["attributes"] == {
        "ecg_id": "1", "weight": "63.0", "device": "CS-12   E", "recording_date": "1984-11-09 09:17:34",
        "scp_codes": "{'NORM': 100.0, 'SR': 0.0}", "baseline_drift": ", V6", "strat_fold": "3",
    }  # fmt: skip
    folds = {record_id: entry["attributes"]["strat_fold"] for record_id, entry in found.items()}
    assert folds == {"00001_hr": "3", "00002_hr": "2", "00003_hr": "3", "00004_hr": "10"}


def test_values_are_those_that_wfdb_reads(root, stored, assert_equal_wfdb):
    assert_equal_wfdb(stored(), lambda name: root / "records500" / "00000" / f"{name}.hea")


def test_the_100_hz_records_are_taken_on_request(stored):
    found = stored("--rate", "100", "--fs", "100")
    assert list(found) == ["00001_lr", "00002_lr", "00003_lr", "00004_lr"]
    assert {(e["fs"], e["n_samples"]) for e in found.values()} == {(100.0, 1000)}
    assert found["00003_lr"]["patient_id"] == "15709"


def test_the_table_of_the_release_gives_its_recommended_split(root, tmp_path, stored):
    stored()
    arguments = [str(tmp_path / "store"), "--dest", str(tmp_path / "m"), "--labels", "ptbxl_superclass"]
    assert classification.main([*arguments, "--split-table", str(root / "ptbxl_database.csv")]) == 0
    split = {name: (tmp_path / "m" / f"{name}.tsv").read_text() for name in ("train", "test")}
    assert "ptb-xl/00004_hr" in split["test"]
    assert all(f"ptb-xl/0000{i}_hr" in split["train"] for i in (1, 2, 3))


def test_listed_records_that_are_not_there_are_rejected_by_that_reason_or_left_out(
    root, rejected, capsys, stored
):
    for suffix in (".hea", ".dat"):
        (root / "records500" / "00000" / f"00002_hr{suffix}").unlink()
    (root / "records500" / "00000" / "00004_hr.dat").unlink()
    stored()
    counts = "kept 2 of 4 records; rejected 1 not downloaded, 1 without a signal file\n"
    assert capsys.readouterr().out == counts
    reasons = rejected()
    assert list(reasons) == ["ptb-xl/00002_hr", "ptb-xl/00004_hr"]
    told = "ptbxl_database.csv lists it, but records500/00000/00002_hr.hea is not there"
    assert told in reasons["ptb-xl/00002_hr"]
    stored("--downloaded-only", dest="part")
    out, err = capsys.readouterr()
    assert out == "kept 2 of 3 records; rejected 1 without a signal file\n"
    assert "1 records are in the tables and not on disk; left out (first: 00002_hr)" in err
    assert list(rejected("part")) == ["ptb-xl/00004_hr"]


def test_records_that_the_table_does_not_list_are_kept_and_counted(root, write_wfdb, ecg_adu, capsys, stored):
    write_wfdb(root / "records500" / "00000", "00009_hr", ecg_adu(), comments=["Age: 70"])
    unlisted = stored()["00009_hr"]
    assert (unlisted["patient_id"], unlisted["age"], unlisted["codes"]) == (None, 70, [])
    assert "1 records are not in" in capsys.readouterr().err


def test_statements_are_checked_against_their_table(corpus, root, capsys, stored):
    rewrite(corpus, root, [{"scp_codes": "{'NORM': 100.0, 'XYZ': 0.0}"}, {}, {}, {}])
    stored()
    assert "1 statements are not in scp_statements.csv: XYZ" in capsys.readouterr().err
    (root / "scp_statements.csv").unlink()
    stored(dest="unchecked")
    assert "statements are stored without checking them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["ptbxl_database.csv"], r"ptbxl_database.csv: there is no such table. Check its name"),
        (["records500"], r"records500: there is no such folder. Pass --rate 100"),
        (["records500", "records100"], r"records500: there is no such folder"),
    ],
)
def test_an_incomplete_folder_is_an_error_in_one_line(root, remove, message, fails):
    for name in remove:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert message in fails()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"sex": "2"}, "sex must be 0, 1 or empty, but is '2' instead"),
        ({"age": "old"}, "age must be years (or 18 months, 3 days), or empty, but is 'old' instead"),
        ({"scp_codes": "__import__('os').getcwd()"}, "scp_codes must be as {'NORM': 100.0}"),
        ({"scp_codes": "['NORM']"}, "scp_codes must be as {'NORM': 100.0}"),
        (
            {"filename_hr": "records500/00000/00001_hr"},
            "filename_hr records500/00000/00001_hr is listed already",
        ),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(corpus, root, cells, message, fails):
    rewrite(corpus, root, [{}, cells, {}, {}])
    assert f"ptbxl_database.csv:3: {message}" in fails()


@pytest.mark.shared
@pytest.mark.parametrize("rate", ["500", "100"])
def test_the_real_release_is_read(rate, rejected, stored, real, assert_equal_wfdb):
    root = real("ptb_xl", "ptbxl_database.csv", f"records{rate}/**/*.hea")
    headers = {path.stem: path for path in root.glob(f"records{rate}/**/*.hea")}
    found = stored("--rate", rate, "--fs", rate, "--downloaded-only", root=root)
    assert len(found) + len(rejected()) == len(headers)
    listed = {name: entry for name, entry in found.items() if entry["patient_id"]}
    assert listed
    for entry in listed.values():
        assert entry["sex"] in ("female", "male")
        assert 1 <= int(entry["attributes"]["strat_fold"]) <= 10
    assert_equal_wfdb(found, headers.get)
