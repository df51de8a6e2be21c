"""preprocess/zzu_pecg.py on a small folder in the layout of the release."""

import csv

import pytest

from fairseq_signals.ecg.leads import LEADS


def test_the_table_gives_person_age_and_codes_of_both_systems(corpus, stored):
    found = stored()
    assert {n: (e["patient_id"], round(e["age"], 2), e["sex"], e["codes"]) for n, e in found.items()} == {
        "P00001_E01": ("P00001", 1.57, "female", ["C21", "I105", "ICD-10:Q21.0"]),
        "P00001_E02": ("P00001", 1.64, "female", ["A1"]),
        "P00002_E01": (
            "P00002", 10.99, "male", ["Left ventricular high voltage", "ICD-10:M30.3", "ICD-10:I50.9"],
        ),
    }  # fmt: skip
    assert found["P00001_E01"]["leads"] == list(LEADS)
    assert found["P00001_E02"]["leads"] == corpus.NINE
    assert found["P00001_E01"]["attributes"]["Acquisition_date"] == "2017-11-22 10:46:08"


def test_listed_records_that_are_not_there_are_reported(root, rejected, stored):
    for path in (root / "P00" / "P00002").rglob("*.*"):
        path.unlink()
    assert len(stored()) == 2
    assert "P00/P00002/P00002_E01.hea is not there" in rejected()["zzu_pecg/P00002_E01"]
    assert len(stored("--downloaded-only", dest="part")) == 2


def test_a_table_of_another_form_is_refused(root, fails):
    table = root / "AttributesDictionary.csv"
    whole = table.read_text()
    for old, new, message in (
        ("572d", "1.5 years", "Age must be days, such as 572d"),
        ("'Male'", "'?'", "Gender must be"),
        ("P00001_E02,P00001,", "P00001_E01,P00001,", "record P00001_E01 is listed already"),
    ):
        table.write_text(whole.replace(old, new))
        assert message in fails()


@pytest.mark.shared
def test_real_records_are_joined_with_a_table_of_what_is_known_of_them(more, tmp_path, stored):
    folder, rows = more("zzu_pecg")
    root = tmp_path / "zzu"
    root.mkdir()
    (root / "records").symlink_to(folder)
    columns = ("Filename", "ECG_ID", "Patient_ID", "Age", "Gender", "AHA_code", "ICD-10 code")
    with (root / "AttributesDictionary.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for name, row in rows.items():
            days, sex = round(float(row["age"]) * 365.25), {"F": "'Female'", "M": "'Male'"}[row["sex"]]
            table.writerow((name, name, row["patient"].removeprefix("zzu-"), f"{days}d", sex, "'A1'", ""))
    found = stored(root=root)
    assert sorted(found) == sorted(rows)
    for name, entry in found.items():
        assert entry["patient_id"] == name.partition("_")[0]
        assert abs(entry["age"] - float(rows[name]["age"])) < 0.01
        assert len(entry["leads"]) == 12
