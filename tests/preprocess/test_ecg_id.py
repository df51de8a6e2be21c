"""preprocess/ecg_id.py on a small folder in the layout of the release."""

import pytest


def test_the_folder_is_the_patient_and_dates_tell_sessions_apart(entries, capsys, stored):
    stored()
    keys = ("source", "patient_id", "age", "sex", "leads", "fs", "n_samples", "attributes")
    found = {name: tuple(e[key] for key in keys) for name, e in entries().items()}
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
    assert capsys.readouterr().out == "kept 3 of 3 records; 3 other channels ignored\n"


def test_values_are_those_of_the_raw_channel(root, stored, assert_equal_wfdb):
    assert_equal_wfdb(stored(), lambda name: root / f"{name}.hea")


def test_listed_records_that_are_not_there_are_reported_or_left_out(root, rejected, capsys, stored):
    for suffix in (".hea", ".dat", ".atr"):
        (root / "Person_01" / f"rec_2{suffix}").unlink()
    stored()
    assert capsys.readouterr().out.startswith("kept 2 of 3 records; rejected 1 not downloaded")
    assert "RECORDS lists it" in rejected()["ecg-id/Person_01/rec_2"]
    stored("--downloaded-only", dest="part")
    assert capsys.readouterr().out.startswith("kept 2 of 2 records")
    (root / "RECORDS").unlink()
    stored(dest="unlisted")
    assert capsys.readouterr().out.startswith("kept 2 of 2 records")


@pytest.mark.parametrize(
    ("folder", "message"),
    [("Person_01", "record rec_1 is not in a folder Person_NN"), ("gone", "there is no such folder")],
)
def test_another_folder_is_an_error_in_one_line(root, folder, message, fails):
    assert message in fails(root=root / folder)


@pytest.mark.shared
def test_the_real_release_is_read_but_for_its_damaged_files(rejected, stored, real, assert_equal_wfdb):
    root = real("ecgid", "Person_*/*.hea")
    headers = sorted(root.glob("Person_*/*.hea"))
    found = stored("--downloaded-only", root=root)
    lost = rejected()  # the first 4 or 8 kB of seven published files are all 0xff
    assert all(line.startswith("with a wrong checksum\t") for line in lost.values())
    assert len(found) + len(lost) == len(headers)
    assert {entry["patient_id"] for entry in found.values()} == {path.parent.name for path in headers}
    for entry in found.values():
        assert entry["sex"] in ("female", "male")
        assert entry["attributes"]["ECG date"].count(".") == 2
    assert_equal_wfdb(found, lambda name: root / f"{name}.hea")
