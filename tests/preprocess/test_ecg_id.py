"""preprocess/ecg_id.py on a small folder in the layout of the release."""

import pytest


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("ecg_id")


@pytest.fixture
def root(lookalike, tmp_path, write_wfdb, ecg_adu):
    return lookalike("ecg_id").make(tmp_path, write_wfdb, ecg_adu)


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def test_the_folder_is_the_patient_and_dates_tell_sessions_apart(script, root, tmp_path, entries, capsys):
    assert run(script, root, tmp_path / "store") == 0
    keys = ("source", "patient_id", "age", "sex", "leads", "fs", "n_samples", "attributes")
    found = {name: tuple(e[key] for key in keys) for name, e in entries(tmp_path / "store").items()}
    assert found == {
        "Person_01/rec_1": (
            "ecg-id", "Person_01", 25, "male", ["I"], 500, 10000, {"ECG date": "07.12.2004"},
        ),
        "Person_01/rec_2": (
            "ecg-id", "Person_01", 25, "male", ["I"], 500, 10000, {"ECG date": "08.12.2004"},
        ),
        "Person_02/rec_1": (
            "ecg-id", "Person_02", 58, "female", ["I"], 500, 10000, {"ECG date": "07.12.2004"},
        ),
    }  # fmt: skip
    assert capsys.readouterr().out == "kept 3 of 3 records; 3 other channel(s) ignored\n"


def test_values_are_those_of_the_raw_channel(script, root, tmp_path, entries, assert_equal_mv, wfdb_mv):
    assert run(script, root, tmp_path / "store") == 0
    for name, entry in entries(tmp_path / "store").items():
        assert_equal_mv(tmp_path / "store", entry, wfdb_mv(root / f"{name}.hea"))


def test_listed_records_that_are_not_there_are_reported_or_left_out(script, root, tmp_path, rejected, capsys):
    for suffix in (".hea", ".dat", ".atr"):
        (root / "Person_01" / f"rec_2{suffix}").unlink()
    assert run(script, root, tmp_path / "store") == 0
    assert capsys.readouterr().out.startswith("kept 2 of 3 records; rejected 1 not downloaded")
    assert "RECORDS lists it" in rejected(tmp_path / "store")["ecg-id/Person_01/rec_2"]
    assert run(script, root, tmp_path / "part", "--downloaded-only") == 0
    assert capsys.readouterr().out.startswith("kept 2 of 2 records")
    (root / "RECORDS").unlink()
    assert run(script, root, tmp_path / "unlisted") == 0
    assert capsys.readouterr().out.startswith("kept 2 of 2 records")


@pytest.mark.parametrize(
    ("folder", "message"),
    [("Person_01", "record rec_1 is not in a folder Person_NN"), ("gone", "there is no such folder")],
)
def test_another_folder_is_an_error_in_one_line(script, root, tmp_path, capsys, folder, message):
    assert run(script, root / folder, tmp_path / "store") == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.shared
def test_the_real_release_is_read_but_for_its_damaged_files(
    script, shared_dir, tmp_path, entries, rejected, assert_equal_mv, wfdb_mv
):
    root = shared_dir / "real_ecg" / "ecgid"
    headers = sorted(root.glob("Person_*/*.hea"))
    if not headers:
        pytest.skip(f"no ECG-ID at {root}")
    assert run(script, root, tmp_path / "store", "--downloaded-only") == 0
    found = entries(tmp_path / "store")
    lost = rejected(tmp_path / "store")  # the first 4 or 8 kB of seven published files are all 0xff
    assert all(line.startswith("with a wrong checksum\t") for line in lost.values())
    assert len(found) + len(lost) == len(headers)
    assert {entry["patient_id"] for entry in found.values()} == {path.parent.name for path in headers}
    for entry in found.values():
        assert entry["sex"] in ("female", "male")
        assert entry["attributes"]["ECG date"].count(".") == 2
    for name in sorted(found)[:: max(1, len(found) // 20)]:
        assert_equal_mv(tmp_path / "store", found[name], wfdb_mv(root / f"{name}.hea"))
