"""preprocess/ptbxl.py on a small folder in the layout of the release."""

import pytest

from fairseq_signals.store.reading import RecordStore


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("ptbxl")


@pytest.fixture(scope="module")
def corpus(lookalike):
    return lookalike("ptbxl")


@pytest.fixture
def root(corpus, tmp_path, write_wfdb, ecg_adu):
    return corpus.make(tmp_path, write_wfdb, ecg_adu)


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def rewrite(corpus, root, rows):
    """Write the table of the release anew, with some cells changed."""
    rows = [{**row, **corpus.names(row["ecg_id"]), **changed} for row, changed in zip(corpus.RECORDS, rows)]
    corpus.write_table(root / "ptbxl_database.csv", corpus.COLUMNS, rows)


def test_records_carry_patient_age_sex_statements_and_report(script, root, tmp_path, entries, capsys):
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    keys = ("source", "patient_id", "age", "sex", "codes", "report", "fs", "n_samples")
    assert {record_id: tuple(entry[key] for key in keys) for record_id, entry in found.items()} == {
        "00001_hr": (
            "ptb-xl", "15709", 56, "female", ["NORM", "SR"], "sinusrhythmus normales ekg", 500, 5000,
        ),
        "00002_hr": ("ptb-xl", "13243", 300, "male", [], None, 500, 5000),
        "00003_hr": (
            "ptb-xl", "15709", 57, "female", ["IMI", "AFIB"], 'infarkt, "alt"; vorhofflimmern', 500, 5000,
        ),
        "00004_hr": ("ptb-xl", "20372", None, "male", ["SR"], "sinus rhythm.", 500, 5000),
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 4 of 4 records\n"
    assert "warning" not in err


def test_likelihoods_folds_dates_and_signal_quality_are_attributes(script, root, tmp_path, entries):
    assert run(script, root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert found["00001_hr"]["attributes"] == {
        "ecg_id": "1", "weight": "63.0", "device": "CS-12   E", "recording_date": "1984-11-09 09:17:34",
        "scp_codes": "{'NORM': 100.0, 'SR': 0.0}", "baseline_drift": ", V6", "strat_fold": "3",
    }  # fmt: skip
    folds = {record_id: entry["attributes"]["strat_fold"] for record_id, entry in found.items()}
    assert folds == {"00001_hr": "3", "00002_hr": "2", "00003_hr": "3", "00004_hr": "10"}


def test_values_are_those_that_wfdb_reads(script, root, tmp_path, entries, assert_equal_mv, wfdb_mv):
    assert run(script, root, tmp_path / "store") == 0
    for record_id, entry in entries(tmp_path / "store").items():
        (header,) = root.glob(f"records500/*/{record_id}.hea")
        assert_equal_mv(tmp_path / "store", entry, wfdb_mv(header))


def test_the_100_hz_records_are_taken_on_request(script, root, tmp_path, entries):
    assert run(script, root, tmp_path / "store", "--rate", "100", "--fs", "100") == 0
    found = entries(tmp_path / "store")
    assert list(found) == ["00001_lr", "00002_lr", "00003_lr", "00004_lr"]
    assert {(e["fs"], e["n_samples"]) for e in found.values()} == {(100.0, 1000)}
    assert found["00003_lr"]["patient_id"] == "15709"


def test_the_table_of_the_release_gives_its_recommended_split(script, root, tmp_path, repo_dir, load_file):
    assert run(script, root, tmp_path / "store") == 0
    manifest = load_file(repo_dir / "manifests" / "classification.py")
    arguments = [str(tmp_path / "store"), "--dest", str(tmp_path / "m"), "--labels", "ptbxl_superclass"]
    assert manifest.main([*arguments, "--split-table", str(root / "ptbxl_database.csv")]) == 0
    split = {name: (tmp_path / "m" / f"{name}.tsv").read_text() for name in ("train", "test")}
    assert "ptb-xl/00004_hr" in split["test"]
    assert all(f"ptb-xl/0000{i}_hr" in split["train"] for i in (1, 2, 3))


def test_listed_records_that_are_not_there_are_rejected_by_that_reason(
    script, root, tmp_path, rejected, capsys
):
    for suffix in (".hea", ".dat"):
        (root / "records500" / "00000" / f"00002_hr{suffix}").unlink()
    (root / "records500" / "00000" / "00004_hr.dat").unlink()
    assert run(script, root, tmp_path / "store") == 0
    assert capsys.readouterr().out == (
        "kept 2 of 4 records; rejected 1 not downloaded, 1 without a signal file\n"
    )
    reasons = rejected(tmp_path / "store")
    assert list(reasons) == ["ptb-xl/00002_hr", "ptb-xl/00004_hr"]
    assert "ptbxl_database.csv lists it, but records500/00000/00002_hr.hea is not there" in reasons[
        "ptb-xl/00002_hr"
    ]  # fmt: skip


def test_absent_records_can_be_left_out(script, root, tmp_path, rejected, capsys):
    for suffix in (".hea", ".dat"):
        (root / "records500" / "00000" / f"00002_hr{suffix}").unlink()
    assert run(script, root, tmp_path / "store", "--downloaded-only") == 0
    out, err = capsys.readouterr()
    assert out == "kept 3 of 3 records\n"
    assert "1 records are in the tables and not on disk; left out (first: 00002_hr)" in err
    assert rejected(tmp_path / "store") == {}


def test_records_that_the_table_does_not_list_are_kept_and_counted(
    script, root, tmp_path, write_wfdb, ecg_adu, entries, capsys
):
    write_wfdb(root / "records500" / "00000", "00009_hr", ecg_adu(), comments=["Age: 70"])
    assert run(script, root, tmp_path / "store") == 0
    unlisted = entries(tmp_path / "store")["00009_hr"]
    assert (unlisted["patient_id"], unlisted["age"], unlisted["codes"]) == (None, 70, [])
    assert "1 records are not in" in capsys.readouterr().err


def test_statements_are_checked_against_their_table(script, corpus, root, tmp_path, capsys):
    rewrite(corpus, root, [{"scp_codes": "{'NORM': 100.0, 'XYZ': 0.0}"}, {}, {}, {}])
    assert run(script, root, tmp_path / "store") == 0
    assert "1 statements are not in scp_statements.csv: XYZ" in capsys.readouterr().err
    (root / "scp_statements.csv").unlink()
    assert run(script, root, tmp_path / "unchecked") == 0
    assert "statements are stored without checking them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["ptbxl_database.csv"], r"ptbxl_database.csv: there is no such table. Check its name"),
        (["records500"], r"records500: there is no such folder. Pass --rate 100"),
        (["records500", "records100"], r"records500: there is no such folder"),
    ],
)
def test_an_incomplete_folder_is_an_error_in_one_line(script, root, tmp_path, capsys, remove, message):
    import shutil

    for name in remove:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert run(script, root, tmp_path / "store") == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"patient_id": ""}, "patient_id must be a whole number, but is '' instead"),
        ({"sex": "2"}, "sex must be 0, 1 or empty, but is '2' instead"),
        ({"age": "old"}, "age must be years, or empty, but is 'old' instead"),
        ({"scp_codes": "__import__('os').getcwd()"}, "scp_codes must be as {'NORM': 100.0}"),
        ({"scp_codes": "['NORM']"}, "scp_codes must be as {'NORM': 100.0}"),
        (
            {"filename_hr": "records500/00000/00001_hr"},
            "filename_hr records500/00000/00001_hr is listed already",
        ),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(script, corpus, root, tmp_path, capsys, cells, message):
    rewrite(corpus, root, [{}, cells, {}, {}])
    assert run(script, root, tmp_path / "store") == 1
    err = capsys.readouterr().err
    assert f"ptbxl_database.csv:3: {message}" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.shared
@pytest.mark.parametrize("rate", ["500", "100"])
def test_the_real_release_is_read(
    script, shared_dir, tmp_path, rate, entries, rejected, assert_equal_mv, wfdb_mv
):
    root = shared_dir / "real_ecg" / "ptb_xl"
    headers = {path.stem: path for path in root.glob(f"records{rate}/**/*.hea")}
    if not (root / "ptbxl_database.csv").is_file() or not headers:
        pytest.skip(f"no PTB-XL release at {root}")
    dest = tmp_path / "store"
    assert run(script, root, dest, "--rate", rate, "--fs", rate, "--downloaded-only") == 0
    found = entries(dest)
    assert len(RecordStore(dest)) + len(rejected(dest)) == len(headers)
    listed = {name: entry for name, entry in found.items() if entry["patient_id"]}
    assert listed
    for entry in listed.values():
        assert entry["sex"] in ("female", "male")
        assert 1 <= int(entry["attributes"]["strat_fold"]) <= 10
    for record_id in sorted(found)[:: max(1, len(found) // 20)]:
        assert_equal_mv(dest, found[record_id], wfdb_mv(headers[record_id]))
