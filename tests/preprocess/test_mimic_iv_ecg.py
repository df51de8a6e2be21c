"""preprocess/mimic_iv_ecg.py on small folders in the layout of the release."""

import itertools
import tracemalloc

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.store.reading import RecordStore


def test_records_carry_their_patient_and_the_lines_of_the_report(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "report", "fs", "n_samples")
    assert {name: tuple(entry[key] for key in keys) for name, entry in found.items()} == {
        "40689238": (
            "mimic-iv-ecg", "10000032", None, None, [],
            "Sinus rhythm; Possible right atrial abnormality; Borderline ECG", 500, 5000,
        ),
        "43522917": (
            "mimic-iv-ecg", "10000635", None, None, [],
            "Sinus bradycardia; Left ventricular hypertrophy", 500, 5000,
        ),
        "44458630": ("mimic-iv-ecg", "10000032", None, None, [], "Sinus rhythm; Normal ECG", 500, 5000),
        "45090959": ("mimic-iv-ecg", "10000117", None, None, [], None, 500, 5000),
    }  # fmt: skip
    assert found["40689238"]["attributes"] == {
        "ecg_time": "2180-07-23 08:44:00", "cart_id": "6848296", "bandwidth": "0.005-150 Hz",
        "filtering": "60 Hz notch Baseline filter", "rr_interval": "659", "t_axis": "79",
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 4 of 4 records\n"
    assert "warning" not in err


def test_leads_are_put_in_canonical_order_by_their_names(
    corpus, root, tmp_path, assert_equal_mv, wfdb_mv, stored
):
    for name, entry in stored().items():
        (header,) = root.glob(f"files/*/*/*/{name}.hea")
        reference = wfdb_mv(header)
        assert list(reference) == list(corpus.LEADS) != list(LEADS)
        assert entry["leads"] == list(LEADS)
        assert_equal_mv(entry, reference)
        signal, _ = RecordStore(tmp_path / "store").read(entry["shard"], entry["row"])
        np.testing.assert_allclose(signal[LEADS.index("aVL")], reference["aVL"], atol=1e-5)


def test_the_patients_of_mimic_iv_add_age_and_sex(root, stored):
    options = ["--patients", str(root.parent / "patients.csv.gz")]
    found = {name: (entry["age"], entry["sex"]) for name, entry in stored(*options).items()}
    assert found == {
        "40689238": (52, "female"),
        "43522917": (75, "male"),  # a year after the one in which the subject was 74
        "44458630": (52, "female"),
        "45090959": (None, None),
    }


def test_records_that_were_not_downloaded_are_rejected_by_that_reason(root, rejected, capsys, stored):
    for path in (root / "files" / "p1000" / "p10000117").rglob("*.*"):
        path.unlink()
    next(root.glob("files/*/p10000635/*/*.dat")).unlink()
    stored()
    counts = "kept 2 of 4 records; rejected 1 not downloaded, 1 without a signal file\n"
    assert capsys.readouterr().out == counts
    reasons = rejected()
    missing = "files/p1000/p10000117/s45090959/45090959.hea is not there"
    assert missing in reasons["mimic-iv-ecg/45090959"]
    stored("--downloaded-only", dest="part")
    out, err = capsys.readouterr()
    assert out == "kept 2 of 3 records; rejected 1 without a signal file\n"
    assert "1 records are in the tables and not on disk" in err


def test_records_without_measurements_are_stored_and_counted(corpus, root, capsys, stored):
    rows = [corpus.measurement_row(*study) for study in corpus.STUDIES[1:]]
    corpus.write_table(root / "machine_measurements.csv", corpus.MEASUREMENT_COLUMNS, rows)
    entry = stored()["40689238"]
    assert (entry["report"], entry["attributes"]) == (None, {"ecg_time": "2180-07-23 08:44:00"})
    assert "1 records are not in machine_measurements.csv" in capsys.readouterr().err


def test_the_store_does_not_depend_on_the_order_of_the_tables(corpus, root, tmp_path, stored):
    stored()
    rows = [corpus.record_row(*study) for study in reversed(corpus.STUDIES)]
    corpus.write_table(root / "record_list.csv", corpus.RECORD_COLUMNS, rows)
    stored(dest="again")
    for path in (tmp_path / "store").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_records_are_listed_as_the_table_is_read(script, corpus, tmp_path):
    folder = corpus.make_tables(tmp_path / "raw", 200)
    with (folder / "record_list.csv").open("a") as file:
        file.write("1,2,3\n")  # reached only when all before it were taken
    listing = script.list_records(folder)
    assert iter(listing) is listing
    first = list(itertools.islice(listing, 200))
    assert [item.record_id for item in first] == [str(40_000_000 + i) for i in range(200)]
    with pytest.raises(script.StoreError, match=r"record_list\.csv:202: there are 3 cells for 5 columns"):
        next(listing)


def test_listing_takes_no_more_memory_for_more_records(script, corpus, tmp_path):
    folders = {
        n_studies: corpus.make_tables(tmp_path / str(n_studies), n_studies) for n_studies in (500, 2000)
    }

    def peak(n_studies):
        tracemalloc.start()
        try:
            assert sum(1 for _ in script.list_records(folders[n_studies])) == n_studies
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2000)  # fills the interpreter's own caches
    assert peak(2000) < peak(500) + 1500 * 250  # bytes; an item is more than 1000


@pytest.mark.parametrize(
    ("table", "cells", "message"),
    [
        ("record_list", {"study_id": ""}, "study_id must be a whole number, but is ''"),
        ("record_list", {"subject_id": "p1"}, "subject_id must be a whole number, but is 'p1'"),
        ("record_list", {"path": "../elsewhere"}, "path must be a path below the folder of the release"),
        ("machine_measurements", {"study_id": "x"}, "study_id must be a whole number, but is 'x'"),
        ("machine_measurements", {"study_id": "43522917"}, "study_id 43522917 is listed already"),
    ],
)
def test_a_row_that_is_not_as_in_the_release_is_named(corpus, root, table, cells, message, fails):
    make, columns, studies = {
        "record_list": (corpus.record_row, corpus.RECORD_COLUMNS, corpus.STUDIES),
        "machine_measurements": (corpus.measurement_row, corpus.MEASUREMENT_COLUMNS, corpus.STUDIES[::-1]),
    }[table]
    rows = [make(*studies[0]), {**make(*studies[1]), **cells}]
    corpus.write_table(root / f"{table}.csv", columns, rows)
    assert f"{table}.csv:3: {message}" in fails()


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        ("record_list", None, " there is no such table"),
        ("machine_measurements", None, " there is no such table"),
        (
            "record_list",
            b"study_id,path\n",
            "1: there is no column subject_id, ecg_time among study_id, path",
        ),
        ("machine_measurements", b"\xff\xfe", " the table cannot be read"),
    ],
)
def test_tables_that_are_not_as_in_the_release_are_an_error(root, table, content, message, fails):
    path = root / f"{table}.csv"
    path.unlink()
    if content:
        path.write_bytes(content)
    assert f"{table}.csv:{message}" in fails()


def test_a_study_that_is_listed_twice_is_an_error(corpus, root, fails):
    rows = [corpus.record_row(*study) for study in corpus.STUDIES]
    corpus.write_table(root / "record_list.csv", corpus.RECORD_COLUMNS, [*rows, rows[0]])
    assert "would both be record mimic-iv-ecg/40689238" in fails()


def test_a_cut_off_table_of_patients_is_an_error(root, fails):
    path = root.parent / "patients.csv.gz"
    path.write_bytes(path.read_bytes()[:60])
    assert "patients.csv.gz: the table cannot be read" in fails("--patients", str(path))
