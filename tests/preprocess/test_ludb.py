"""preprocess/ludb.py on a small folder in the layout of the release."""

import pytest


def test_records_carry_age_sex_and_every_diagnosis_of_the_table(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "fs", "n_samples")
    assert {name: tuple(e[key] for key in keys) for name, e in found.items()} == {
        "1": (
            "ludb", None, 51, "female",
            [
                "Sinus bradycardia", "Electric axis of the heart: left axis deviation",
                "Left ventricular overload", "Left ventricular hypertrophy",
            ],
            500, 5000,
        ),
        "2": ("ludb", None, 64, "male", ["Atrial flutter, typical", "P-synchrony"], 500, 5000),
        "3": ("ludb", None, None, "male", ["Sinus rhythm"], 500, 5000),
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 3 of 3 records\n"
    assert "warning" not in err


def test_values_are_those_that_wfdb_reads(root, stored, assert_equal_wfdb):
    found = stored()
    assert all(len(entry["leads"]) == 12 for entry in found.values())
    assert_equal_wfdb(found, lambda name: root / "data" / f"{name}.hea")


def test_table_and_files_that_do_not_match_are_reported(corpus, root, rejected, capsys, stored):
    for path in (root / "data").glob("2.*"):
        path.unlink()
    corpus.write_table(root / "ludb.csv", corpus.COLUMNS, corpus.ROWS[:2])
    unlisted = stored()["3"]
    out, err = capsys.readouterr()
    assert out == "kept 2 of 3 records; rejected 1 not downloaded\n"
    assert "ludb.csv lists it, but data/2.hea is not there" in rejected()["ludb/2"]
    assert "1 records are not in" in err
    assert (unlisted["sex"], unlisted["codes"], unlisted["attributes"]) == (
        "male", [], {"Rhythm": "Sinus rhythm."},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"ID": "one"}, "ID must be a whole number, but is 'one' instead"),
        ({"ID": "1"}, "record 1 is listed already"),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(corpus, root, row, message, fails):
    corpus.write_table(root / "ludb.csv", corpus.COLUMNS, [{"ID": "1"}, row])
    assert f"ludb.csv:3: {message}" in fails()


def test_the_folder_without_its_table_is_an_error(root, fails, tmp_path):
    assert "ludb.csv: there is no such table" in fails(root=root / "data")
    assert not (tmp_path / "store").exists()


@pytest.mark.shared
def test_the_real_release_is_read(stored, real, assert_equal_wfdb):
    root = real("ludb", "data/*.hea", "ludb.csv")
    found = stored("--downloaded-only", root=root)
    assert found.keys() == {path.stem for path in root.glob("data/*.hea")}
    assert all(entry["codes"] and entry["sex"] for entry in found.values())
    assert_equal_wfdb(found, lambda name: root / "data" / f"{name}.hea")
