"""preprocess/ptbxl.py on a small folder in the layout of the release."""

import importlib.util

import pytest

from fairseq_signals.data.store import RecordStore

COLUMNS = "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr"


@pytest.fixture(scope="module")
def script(repo_dir):
    spec = importlib.util.spec_from_file_location("preprocess_ptbxl", repo_dir / "preprocess" / "ptbxl.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table_row(number, patient, age, sex, report, codes):
    names = [f"records{rate}/00000/{number:05}_{end}" for rate, end in (("100", "lr"), ("500", "hr"))]
    return f'{number},{patient},{age},{sex},"{report}","{codes}",1,{names[0]},{names[1]}'


@pytest.fixture
def root(tmp_path, write_wfdb, ecg_adu):
    """Two recordings at both rates, and a third that is only in the table."""
    root = tmp_path / "ptb-xl"
    for number in (1, 2):
        write_wfdb(root / "records500" / "00000", f"{number:05}_hr", ecg_adu(seed=number))
        write_wfdb(root / "records100" / "00000", f"{number:05}_lr", ecg_adu(n_samples=1000), fs=100)
    rows = [
        table_row(1, "15709.0", "56.0", "1", "sinusrhythmus, normales ekg", "{'NORM': 100.0, 'SR': 0.0}"),
        table_row(2, "13243.0", "", "0", "", "{}"),
        table_row(3, "13243.0", "30", "0", "", "{'AFIB': 50.0}"),
    ]
    (root / "ptbxl_database.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return root


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def test_records_carry_patient_age_sex_statements_and_report(script, root, tmp_path, capsys):
    assert run(script, root, tmp_path / "store") == 0
    keys = ("record_id", "source", "patient_id", "age", "sex", "codes", "report", "fs", "n_samples")
    found = [
        tuple(entry[key] for key in keys) for entry in RecordStore(tmp_path / "store").metadata().to_pylist()
    ]
    assert found == [
        (
            "00001_hr",
            "ptb-xl",
            "15709",
            56.0,
            "female",
            ["NORM", "SR"],
            "sinusrhythmus, normales ekg",
            500.0,
            3000,
        ),
        ("00002_hr", "ptb-xl", "13243", None, "male", [], None, 500.0, 3000),
    ]
    assert "1 rows of" in capsys.readouterr().err


def test_the_100_hz_records_are_taken_on_request(script, root, tmp_path):
    assert run(script, root, tmp_path / "store", "--rate", "100", "--fs", "100") == 0
    entries = RecordStore(tmp_path / "store").metadata().to_pylist()
    found = [(e["record_id"], e["patient_id"], e["fs"], e["n_samples"]) for e in entries]
    assert found == [("00001_lr", "15709", 100.0, 1000), ("00002_lr", "13243", 100.0, 1000)]


def test_a_folder_without_the_table_is_an_error(script, root, tmp_path, capsys):
    (root / "ptbxl_database.csv").unlink()
    assert run(script, root, tmp_path / "store") == 1
    assert "ptbxl_database.csv: cannot be read (No such file or directory)" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "row",
    [
        table_row(1, "", "56", "1", "", "{}"),
        table_row(1, "5", "56", "2", "", "{}"),
        table_row(1, "5", "56", "1", "", "__import__('os').getcwd()"),
        "1,2,3",
    ],
)
def test_a_row_that_is_not_of_the_release_is_named(script, root, tmp_path, capsys, row):
    (root / "ptbxl_database.csv").write_text(f"{COLUMNS}\n{row}\n")
    assert run(script, root, tmp_path / "store") == 1
    assert "ptbxl_database.csv:2: not a row of the release" in capsys.readouterr().err


@pytest.mark.shared
def test_the_real_release_is_read(script, shared_dir, tmp_path):
    root = shared_dir / "real_ecg" / "ptb_xl"
    if not (root / "ptbxl_database.csv").is_file() or not any((root / "records500").rglob("*.hea")):
        pytest.skip(f"no PTB-XL release at {root}")
    assert run(script, root, tmp_path / "store") == 0
    entries = RecordStore(tmp_path / "store").metadata().to_pylist()
    assert {entry["sex"] for entry in entries} <= {"female", "male", None}
    assert any(entry["codes"] and entry["patient_id"] for entry in entries)
