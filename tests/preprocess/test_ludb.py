"""preprocess/ludb.py on a small folder in the layout of the release."""

import pytest


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("ludb")


@pytest.fixture(scope="module")
def corpus(lookalike):
    return lookalike("ludb")


@pytest.fixture
def root(corpus, tmp_path, write_wfdb, ecg_adu):
    return corpus.make(tmp_path, write_wfdb, ecg_adu)


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def test_records_carry_age_sex_and_every_diagnosis_of_the_table(script, root, tmp_path, entries, capsys):
    assert run(script, root, tmp_path / "store") == 0
    keys = ("source", "patient_id", "age", "sex", "codes", "fs", "n_samples")
    assert {name: tuple(e[key] for key in keys) for name, e in entries(tmp_path / "store").items()} == {
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


def test_values_are_those_that_wfdb_reads(script, root, tmp_path, entries, assert_equal_mv, wfdb_mv):
    assert run(script, root, tmp_path / "store") == 0
    for name, entry in entries(tmp_path / "store").items():
        assert len(entry["leads"]) == 12
        assert_equal_mv(tmp_path / "store", entry, wfdb_mv(root / "data" / f"{name}.hea"))


def test_table_and_files_that_do_not_match_are_reported(
    script, corpus, root, tmp_path, entries, rejected, capsys
):
    for path in (root / "data").glob("2.*"):
        path.unlink()
    corpus.write_table(root / "ludb.csv", corpus.ROWS[:2])
    assert run(script, root, tmp_path / "store") == 0
    out, err = capsys.readouterr()
    assert out == "kept 2 of 3 records; rejected 1 not downloaded\n"
    assert "ludb.csv lists it, but data/2.hea is not there" in rejected(tmp_path / "store")["ludb/2"]
    assert "1 records are not in" in err
    unlisted = entries(tmp_path / "store")["3"]
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
def test_a_row_that_is_not_as_in_the_release_is_named(script, corpus, root, tmp_path, capsys, row, message):
    corpus.write_table(root / "ludb.csv", [{"ID": "1"}, row])
    assert run(script, root, tmp_path / "store") == 1
    assert f"ludb.csv:3: {message}" in capsys.readouterr().err


def test_the_folder_without_its_table_is_an_error(script, root, tmp_path, capsys):
    assert run(script, root / "data", tmp_path / "store") == 1
    assert "ludb.csv: there is no such table" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.shared
def test_the_real_release_is_read(script, shared_dir, tmp_path, entries, assert_equal_mv, wfdb_mv):
    root = shared_dir / "real_ecg" / "ludb"
    headers = sorted((root / "data").glob("*.hea"))
    if not headers or not (root / "ludb.csv").is_file():
        pytest.skip(f"no LUDB at {root}")
    assert run(script, root, tmp_path / "store", "--downloaded-only") == 0
    found = entries(tmp_path / "store")
    assert found.keys() == {path.stem for path in headers}
    assert all(entry["codes"] and entry["sex"] for entry in found.values())
    for name in sorted(found)[:: max(1, len(found) // 20)]:
        assert_equal_mv(tmp_path / "store", found[name], wfdb_mv(root / "data" / f"{name}.hea"))
