"""preprocess/wfdb_folder.py on small folders of WFDB records."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fairseq_signals.store.reading import RecordStore

OPTIONS = ("--source", "ecg-id")


@pytest.fixture
def root(tmp_path, write_wfdb, ecg_adu):
    """Two folders of two records each."""
    for person in ("Person_01", "Person_02"):
        for rec in ("rec_1", "rec_2"):
            write_wfdb(
                tmp_path / "raw" / person, rec, ecg_adu(2), ["ECG I", "ECG I filtered"], gain=200,
                comments=["Age: 25", "Sex: male", "Dx: 9"],
            )  # fmt: skip
    return tmp_path / "raw"


def test_every_header_below_the_folder_is_a_record_named_by_its_path(tmp_path, capsys, stored):
    found = stored()
    assert list(found) == ["Person_01/rec_1", "Person_01/rec_2", "Person_02/rec_1", "Person_02/rec_2"]
    assert {(e["source"], e["patient_id"], *e["leads"]) for e in found.values()} == {("ecg-id", None, "I")}
    assert capsys.readouterr().out == "kept 4 of 4 records; 4 other channels ignored\n"
    faults = (tmp_path / "store" / "lead_faults.tsv").read_text()
    assert "ecg-id/Person_01/rec_1\tECG I filtered\tnot one of the 12 leads" in faults


def test_the_folder_can_name_the_patient(root, write_wfdb, ecg_adu, stored):
    write_wfdb(root, "top", ecg_adu(1), ["I"])
    found = stored("--patient-from-folder")
    assert found["Person_02/rec_1"]["patient_id"] == "Person_02"
    assert found["top"]["patient_id"] is None


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "record_id,patient_id,age,sex,codes,report,source\n"
        "Person_01/rec_1,p7,30,F,NORM|SR,all fine,other\n"
        "Person_02/rec_2,p8,,,,,\n"
        "Person_03/rec_1,p9,,,,,\n"
    )
    return path


def test_a_table_adds_to_the_headers_and_what_does_not_match_is_counted(table, capsys, stored):
    found = stored("--metadata", str(table))
    first = {
        key: found["Person_01/rec_1"][key]
        for key in ("patient_id", "age", "sex", "codes", "report", "source")
    }
    assert first == {
        "patient_id": "p7", "age": 30, "sex": "female", "codes": ["NORM", "SR"], "report": "all fine",
        "source": "other",
    }  # fmt: skip
    last = found["Person_02/rec_2"]
    assert (last["patient_id"], last["age"], last["sex"], last["codes"]) == ("p8", 25, "male", ["9"])
    assert found["Person_01/rec_2"]["patient_id"] is None
    err = capsys.readouterr().err
    assert "2 records are not in" in err
    assert "kept with what their headers tell" in err
    assert "1 rows of" in err
    assert "Person_03/rec_1" in err


def test_only_listed_leaves_the_others_out(table, capsys, stored):
    assert set(stored("--metadata", str(table), "--only-listed")) == {"Person_01/rec_1", "Person_02/rec_2"}
    assert "2 records are not in" in capsys.readouterr().err


def test_the_table_goes_before_the_folder(table, stored):
    options = ["--metadata", str(table), "--patient-from-folder"]
    found = stored(*options)
    assert (found["Person_01/rec_1"]["patient_id"], found["Person_01/rec_2"]["patient_id"]) == (
        "p7",
        "Person_01",
    )


def test_bad_records_are_rejected_with_their_reasons_and_the_rest_is_kept(
    root, write_wfdb, ecg_adu, capsys, stored, rejected
):
    bad = root / "bad"
    write_wfdb(bad, "short", ecg_adu(2, 1000), ["I", "II"])
    write_wfdb(bad, "gain", ecg_adu(2), ["I", "II"], gain=0)
    write_wfdb(bad, "names", ecg_adu(2), ["a", "b"])
    write_wfdb(bad, "flat", ecg_adu(2) * 0, ["I", "II"])
    write_wfdb(bad, "nan", np.full((2, 3000), -32768), ["I", "II"])
    write_wfdb(bad, "rate", ecg_adu(2), ["I", "II"], fs=1)
    write_wfdb(bad, "lost", ecg_adu(2), ["I", "II"])
    (bad / "lost.dat").unlink()
    write_wfdb(bad, "cut", ecg_adu(2), ["I", "II"])
    (bad / "cut.dat").write_bytes(b"")
    write_wfdb(bad, "orphan", ecg_adu(2), ["I", "II"]).unlink()
    (bad / "text.hea").write_text("this is no header\n")
    (bad / "empty.hea").write_text("")
    assert len(stored()) == 4
    reasons = rejected()
    for name, reason in {
        "short": "lasts 2 s", "gain": "I: the file gives it no gain", "names": "none of its 2 signals",
        "flat": "no usable lead", "nan": "3000 of 3000 samples are missing", "rate": "sampling rate",
        "lost": "lost.dat, named in lost.hea, is missing", "cut": "truncated", "orphan": "no header names",
        "text": "the record line", "empty": "it is empty",
    }.items():  # fmt: skip
        assert reason in reasons.pop(f"ecg-id/bad/{name}")
    assert reasons == {}
    assert capsys.readouterr().out.startswith("kept 4 of 15 records; rejected 2 with a malformed header, ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only-listed"], "--only-listed needs --metadata"),
        (["--metadata", "gone.csv"], "there is no such table"),
    ],
)
def test_wrong_options_are_an_error_in_one_line(options, message, fails):
    error = fails(*options)
    assert error.startswith("StoreError: ")
    assert message in error


def test_a_table_that_lists_none_of_the_records_is_an_error(tmp_path, fails):
    (tmp_path / "t.csv").write_text("record_id\nrec_1\n")
    options = ["--metadata", str(tmp_path / "t.csv"), "--only-listed"]
    assert "A record_id is the path below that folder" in fails(*options)


def test_an_empty_or_missing_folder_is_an_error_and_nothing_is_written(tmp_path, fails):
    (tmp_path / "empty").mkdir()
    assert "there is no WFDB record (.hea)" in fails(root=tmp_path / "empty")
    assert "there is no such folder" in fails(root=tmp_path / "gone")


def test_a_folder_of_signal_files_without_headers_asks_for_them(tmp_path, write_wfdb, ecg_adu, run, capsys):
    write_wfdb(tmp_path / "challenge", "A0001", ecg_adu(), suffix=".mat").unlink()
    assert run(root=tmp_path / "challenge") == 1
    assert "no header names the signal file A0001.mat. Restore A0001.hea." in capsys.readouterr().err


def test_the_command_runs_the_same_script_with_several_workers(repo_dir, root, tmp_path):
    command = [
        sys.executable, "-m", "fairseq_signals.commands.main", "preprocess", "wfdb_folder", str(root),
        "--dest", "store", "--source", "x", "--workers", "2", "--records-per-shard", "2",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(repo_dir)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(RecordStore(tmp_path / "store")) == 4


@pytest.mark.shared
def test_every_real_folder_gives_a_store_or_reasons(shared_dir, stored, rejected):
    folders = [path for path in sorted((shared_dir / "real_ecg").glob("*")) if any(path.rglob("*.hea"))]
    if not folders:
        pytest.skip("no WFDB record at hand")
    for folder in folders:
        if sum(1 for _ in folder.rglob("*.hea")) > 500:
            continue  # tests/formats/test_real_records.py reads those too
        assert stored("--min-seconds", "0.5", root=folder, dest=folder.name)
        assert "unforeseen" not in str(rejected(folder.name))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0),
        (("--strict",), 1),
        (("--max-rejected=0",), 1),
        (("--max-rejected=4",), 1),
        (("--max-rejected=5",), 0),
    ],
)
def test_a_scheduler_is_told_of_rejections_by_the_exit_code(
    tmp_path, write_wfdb, ecg_adu, capsys, options, code, run
):
    """What could be kept is stored in any case; a second run says the same."""
    raw = tmp_path / "six"
    write_wfdb(raw, "good", ecg_adu(2), ["I", "II"])
    for name in ("s1", "s2", "s3"):
        write_wfdb(raw, name, ecg_adu(2)[:, :900], ["I", "II"])
    write_wfdb(raw, "other", ecg_adu(2), ["x", "y"])
    (raw / "lost.dat").write_bytes(b"")
    for _ in range(2):
        assert run("--source", "a", *options, root=raw) == code
        assert len(RecordStore(tmp_path / "store")) == 1
        out, err = capsys.readouterr()
        assert out == (
            "kept 1 of 6 records; rejected 3 too short, 1 without a header, 1 without any of the 12 leads\n"
        )
        told, *shown, where = err[err.index("rejected 5 of 6") :].splitlines()[:5]
        assert told.endswith("records: 3 too short, 1 without a header, 1 without any of the 12 leads")
        assert [line.split(":")[0] for line in shown] == ["  a/s1", "  a/lost", "  a/other"]
        assert where == f"the reason of each is in {tmp_path / 'store' / 'rejected.tsv'}"
        assert ("5 records are rejected, but at most" in err) == bool(code)
