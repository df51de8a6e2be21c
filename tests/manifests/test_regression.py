"""`manifests/regression.py`: numbers of records, split by patient, and the table to standardise them by."""

import numpy as np
import pytest

from fairseq_signals.errors import LabelError
from fairseq_signals.manifest.folder import read_set
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.manifest.targets import TargetTable, format_target, read_targets, read_values

AGES = np.random.default_rng(0).uniform(20, 90, 40).round(1).astype(np.float32)
RECORDS = [(f"r{i:02d}", {"patient_id": f"p{i // 2}", "age": float(AGES[i])}) for i in range(40)]


@pytest.fixture
def values_csv(tmp_path):
    """`values_csv(lines)`: a table of values."""

    def write(*lines: str):
        (tmp_path / "values.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "values.csv"

    return write


def test_the_age_of_the_store_is_listed_and_standardised_by_the_training_records(
    make_store, succeed, rows, read, tmp_path
):
    records = [
        *RECORDS,
        ("none", {"age": None}),
        ("300", {"age": 300.0}),
        ("long", {"age": 50.0, "seconds": 25}),
    ]
    out = succeed("regression", make_store("s", records), "--target", "age")
    assert "kept 41 of 43 records; left out 2: 2 without a value of age" in out
    of_record = {row.record_id: row.target for row in rows()}
    assert of_record["a/long"] == "50"
    assert {f"a/r{i:02d}": str(AGES[i]).removesuffix(".0") for i in range(40)}.items() <= of_record.items()
    train = read()["train"]
    once = np.array([float(target) for target in dict(zip(train.record_ids, train.targets)).values()])
    table = read_targets(tmp_path / "m" / "targets.csv")
    assert (table.names, table.units) == (("age",), ("years",))
    assert (table.means[0], table.stds[0]) == pytest.approx((once.mean(), once.std()))
    patients = [set(manifest.patient_ids) for manifest in read().values()]
    assert len(set.union(*patients)) == sum(map(len, patients))


def test_a_table_of_several_numbers_leaves_out_records_without_one_of_them(
    make_store, succeed, rows, values_csv, tmp_path
):
    lines = [f"r{i:02d},{30 + i},{-1.5 - i},x" for i in range(38)]
    path = values_csv("record_id,LVEF,base excess,remark", *lines, "r38,,2,x", "r39,70,NaN,x")
    out = succeed(
        "regression", make_store("s", [*RECORDS, ("r40", {})]), "--values", path,
        "--target", "LVEF", "base excess", "--unit", "%", "mmol/l",
    )  # fmt: skip
    assert "3: 1 not in values.csv, 1 without a value of LVEF, 1 without a value of base excess" in out
    assert {row.record_id: row.target for row in rows()}["a/r07"] == "37,-8.5"
    table = read_targets(tmp_path / "m" / "targets.csv")
    assert (table.names, table.units) == (("LVEF", "base excess"), ("%", "mmol/l"))


def test_all_columns_of_a_table_of_patients_are_targets_by_default(make_store, succeed, rows, values_csv):
    path = values_csv("patient_id,K", *(f"p{i},{i / 10}" for i in range(20)))
    succeed("regression", make_store("s", RECORDS), "--values", path)
    assert {row.target for row in rows() if row.patient_id == "a/p7"} == {"0.7"}


def test_a_table_says_whose_the_records_are_where_the_store_does_not(make_store, succeed, rows, values_csv):
    path = values_csv("record_id,patient_id,K", *(f"r{i},q{i // 4},{i}" for i in range(40)))
    succeed("regression", make_store("s", [(f"r{i}", {}) for i in range(40)]), "--values", path)
    assert {row.patient_id for row in rows()} == {f"a/q{i}" for i in range(10)}


def test_attributes_that_are_numbers_are_targets(make_store, succeed, rows):
    records = [(f"r{i}", {"attributes": (("qrs", f"{i}" if i else "wide"),)}) for i in range(30)]
    out = succeed("regression", make_store("s", records), "--target", "qrs", "--split", "1:1:1")
    assert "left out 1: 1 without a value of qrs" in out
    assert {row.record_id: row.target for row in rows()}["a/r12"] == "12"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name what is predicted: --target age, or --values"),
        (("--target", "lvef"), "no record has the attribute lvef; there is"),
        (("--target", "age", "--unit", "a", "b"), "--unit: 2 units for 1 targets (age)"),
        (("--target", "age", "--where", "age < 10"), "no record is left"),
    ],
)
def test_calls_that_make_no_sense_are_told(options, message, make_store, fails):
    assert message in fails("regression", make_store("s", RECORDS), *options)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("record_id,K", "r00,high"), "values.csv:2: K must be a number, or empty, but is 'high'"),
        (("record_id,K", "r00,inf"), "values.csv:2: K must be a number, or empty, but is 'inf'"),
        (("record_id,K", "r00,1", "r00,2"), "values.csv:3: record_id r00 has other values than in a line"),
        (("record_id", "r00"), "values.csv:1: there is no column of numbers beside record_id"),
        (("record_id,K", "r00,"), "no record has a number for each of K"),
        (("record_id,K", *(f"r{i:02d},7" for i in range(40))), "training records whose values are all alike"),
    ],
)
def test_tables_that_make_no_sense_are_told_with_their_line(lines, message, make_store, fails, values_csv):
    err = fails("regression", make_store("s", RECORDS), "--values", values_csv(*lines))
    assert message in err
    assert "Traceback" not in err


def test_check_finds_regression_manifests_without_violations_and_with(make_store, succeed, run, tmp_path):
    succeed("regression", make_store("s", RECORDS), "--target", "age")
    assert run("check", tmp_path / "m")[1].endswith("no violations\n")
    (tmp_path / "m" / "manifest.json").unlink()
    assert read_set(tmp_path / "m").kind == "regression"
    file = tmp_path / "m" / "valid.tsv"
    file.write_text(file.read_text().replace("\n", ",1\n").replace(",1\n", "\n", 1))
    code, out, _ = run("check", tmp_path / "m")
    assert code == 1
    assert "valid.tsv:2: target must be 1 numbers, one for each target of targets.csv" in out


def test_pretraining_leaves_out_whom_a_regression_holds_out(make_store, succeed, tmp_path):
    store = make_store("s", RECORDS)
    succeed("regression", store, "--target", "age", "--dest", tmp_path / "age")
    out = succeed("pretrain", store, "--exclude", tmp_path / "age", "--dest", tmp_path / "pre")
    assert "8 records of 4 patients for validation and test" in out


@pytest.mark.parametrize("value", [63.0, -1.5, 0.1, 1e-7, 1.2345678901234567e-4, -1e17, 1 / 3, 0.0])
def test_numbers_of_a_manifest_are_read_as_they_were_written(value, make_store, tmp_path):
    store = make_store("s", [("r", {})])
    (row,) = [Row("shard-00000.arrow#0:0", 50, "a/r", "a/record/r", 0, format_target([value, 2.0]))]
    (tmp_path / "t.tsv").write_text("".join(format_manifest(store, [row])))
    manifest = read_manifest(tmp_path / "t.tsv")
    assert read_values(manifest, 2, "targets.csv").tolist() == [[value, 2.0]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("name,unit,mean,std\n", "there is no column index"),
        ("index,name,unit,mean,std\n", "the table has no targets"),
        ("index,name,unit,mean,std\n1,a,,0,1\n", r"targets\.csv:2: index must be 0 \(0, 1, ... in order\)"),
        ("index,name,unit,mean,std\n0,a,,0,0\n", "std above 0, but are 0 and 0"),
        ("index,name,unit,mean,std\n0,a,,x,1\n", r"targets\.csv:2: mean must be a number, but is 'x'"),
        ("index,name,unit,mean,std\n0,a,,0,1\n1,a,,0,1\n", "targets must have different names"),
    ],
)
def test_a_target_table_at_fault_is_refused_with_its_line(lines, message, tmp_path):
    (tmp_path / "targets.csv").write_text(lines)
    with pytest.raises(LabelError, match=message):
        read_targets(tmp_path / "targets.csv")


def test_a_target_table_survives_its_file_and_turns_numbers_back(tmp_path):
    table = TargetTable(("=a", "b,c"), ("%", ""), (1 / 3, -2.0), (1e-3, 7.0))
    (tmp_path / "targets.csv").write_text(table.to_csv())
    assert read_targets(tmp_path / "targets.csv") == table
    assert TargetTable.from_plain(table.to_plain()) == table
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(table.in_units(table.standardised(values)), values)
