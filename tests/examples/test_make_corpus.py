import csv
import importlib.util
import json
import shutil

import numpy as np
import pytest
import scipy.io

from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.manifest.texts import read_texts
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.record import make_record
from fairseq_signals.synthetic.reports import WORDING_OF, report_of, split_of
from fairseq_signals.text.cleaning import lines_of
from manifests import ecg_text

CONFIG = CorpusConfig(patients=14, seed=5, sessions=(1, 3))


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script(repo_dir):
    return load(repo_dir / "examples" / "quickstart" / "make_corpus.py")


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def corpus(script, tmp_path_factory):
    dest = tmp_path_factory.mktemp("corpus")
    assert script.main(["--dest", str(dest), "--patients", "14", "--seed", "5", "--sessions", "1..3"]) == 0
    return dest


def test_corpus_has_the_layout_of_the_challenge(corpus):
    headers, signals = sorted(corpus.glob("WFDB_*/*.hea")), sorted(corpus.glob("WFDB_*/*.mat"))
    assert [p.stem for p in headers] == [p.stem for p in signals]
    assert len(headers) >= 14
    assert len({p.parent for p in headers}) >= 3
    assert all(scipy.io.loadmat(p)["val"].shape == (12, 5000) for p in signals[:3])


def test_patients_csv_names_every_record_once_and_sessions_in_order(corpus):
    with (corpus / "patients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["record_id"] for row in rows) == sorted(p.stem for p in corpus.glob("WFDB_*/*.hea"))
    sessions = {}
    for row in rows:
        sessions.setdefault(row["patient_id"], []).append(int(row["session"]))
    assert len(sessions) == 14
    assert all(found == list(range(len(found))) for found in sessions.values())
    assert {len(found) for found in sessions.values()} <= {1, 2, 3}


def test_reports_csv_has_a_report_of_every_record_and_the_split_of_its_patient(corpus):
    rows, patients = read_csv(corpus / "reports.csv"), read_csv(corpus / "patients.csv")
    for row, patient in zip(rows, patients, strict=True):
        number, session = int(patient["patient_id"][1:]), int(patient["session"])
        split = split_of(CONFIG, number)
        report = report_of(make_record(CONFIG, number, session), CONFIG, WORDING_OF[split])
        expected = (patient["record_id"], patient["patient_id"], split, report)
        assert tuple(row.values()) == expected
    assert {row["split"] for row in rows} >= {"train", "test"}


def test_all_reports_can_have_one_wording_and_nothing_else_changes(corpus, script, tmp_path):
    arguments = ["--patients", "14", "--seed", "5", "--sessions", "1..3", "--wording", "unseen"]
    assert script.main(["--dest", str(tmp_path), *arguments]) == 0
    rows, split_rows = read_csv(tmp_path / "reports.csv"), read_csv(corpus / "reports.csv")
    same = [row == other for row, other in zip(rows, split_rows)]
    assert same == [row["split"] == "test" for row in split_rows]
    found, expected = contents(tmp_path), contents(corpus)
    assert {name for name in expected if found[name] != expected[name]} == {"reports.csv"}
    assert not any("report" in path.read_text() for path in corpus.glob("WFDB_*/*.hea"))


def test_classes_csv_is_a_label_table_of_the_corpus_and_prompts_csv_is_of_its_classes(corpus):
    table = read_labels(corpus / "classes.csv")
    assert dict(zip(table.abbreviations, table.codes)) == {n: (c,) for n, c in SNOMED_CODES.items()}
    assert {row["class"] for row in read_csv(corpus / "prompts.csv")} == set(table.abbreviations)


def test_it_says_wherever_it_can_that_it_is_synthetic(corpus, script, tmp_path, capsys):
    assert "ynthetic" in (corpus / "README.md").read_text()
    assert json.loads((corpus / "corpus.json").read_text())["synthetic"] is True
    assert all("# Synthetic:" in p.read_text() for p in corpus.glob("WFDB_*/*.hea"))
    script.main(["--dest", str(tmp_path), "--patients", "1", "--sessions", "1"])
    assert "SYNTHETIC" in capsys.readouterr().out


def test_same_arguments_give_the_same_bytes_with_any_number_of_workers(corpus, script, tmp_path):
    arguments = ["--patients", "14", "--seed", "5", "--sessions", "1..3", "--workers", "2"]
    assert script.main(["--dest", str(tmp_path), *arguments]) == 0
    assert contents(tmp_path) == contents(corpus)


def test_another_seed_gives_other_records(corpus, script, tmp_path):
    script.main(["--dest", str(tmp_path), "--patients", "14", "--seed", "6", "--sessions", "1..3"])
    first, second = contents(corpus), contents(tmp_path)
    shared = {name for name in first if name.endswith(".mat")} & set(second)
    assert shared
    assert all(first[name] != second[name] for name in shared)


def test_a_stopped_run_continues_with_what_is_missing(corpus, script, tmp_path):
    dest = tmp_path / "corpus"
    shutil.copytree(corpus, dest)
    headers = sorted(dest.glob("WFDB_*/*.hea"))
    for path in headers[::2]:
        path.unlink()  # as when it stopped between signal and header
    headers[0].with_suffix(".mat").unlink()
    (dest / "patients.csv").unlink()
    kept = headers[1].stat().st_mtime_ns
    script.main(["--dest", str(dest), "--patients", "14", "--seed", "5", "--sessions", "1..3"])
    assert contents(dest) == contents(corpus)
    assert headers[1].stat().st_mtime_ns == kept


def test_a_folder_with_another_corpus_is_left_alone(corpus, script, capsys):
    before = contents(corpus)
    assert script.main(["--dest", str(corpus), "--patients", "3", "--seed", "5"]) == 1
    assert "other arguments" in capsys.readouterr().err
    assert contents(corpus) == before


@pytest.mark.parametrize(("text", "sessions"), [("2", (2, 2)), ("1..4", (1, 4))])
def test_sessions_are_a_number_or_a_range(script, text, sessions):
    assert script.parse_sessions(text) == sessions


def test_sessions_that_are_neither_are_refused(script, tmp_path, capsys):
    with pytest.raises(SystemExit):
        script.main(["--dest", str(tmp_path), "--sessions", "few"])
    assert "LOW..HIGH" in capsys.readouterr().err
    assert script.main(["--dest", str(tmp_path), "--sessions", "3..1"]) == 1
    assert "ConfigError" in capsys.readouterr().err


# --- through the preprocessing ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def preprocess(repo_dir):
    return load(repo_dir / "preprocess" / "physionet2021.py")


@pytest.fixture(scope="module")
def store(corpus, preprocess, tmp_path_factory):
    dest = tmp_path_factory.mktemp("store")
    assert preprocess.main([str(corpus), "--dest", str(dest), "--workers", "1"]) == 0
    return RecordStore(dest)


def test_preprocessing_keeps_every_record_its_patient_and_every_integer(corpus, store):
    with (corpus / "patients.csv").open() as file:
        patients = {row["record_id"]: row["patient_id"] for row in csv.DictReader(file)}
    rows = store.metadata().to_pylist()
    assert {row["record_id"]: row["patient_id"] for row in rows} == patients
    row = rows[0]
    signal_mv, present = store.read(row["shard"], row["row"])
    adu = scipy.io.loadmat(next(corpus.glob(f"WFDB_*/{row['record_id']}.mat")))["val"]
    np.testing.assert_array_equal(np.rint(signal_mv * 1000), adu)
    assert present.all()


def test_patients_can_come_from_a_table(corpus, preprocess, tmp_path, capsys):
    table = tmp_path / "patients.csv"
    first = sorted(p.stem for p in corpus.glob("WFDB_*/*.hea"))[0]
    table.write_text(f"record_id,patient_id,note\n{first},somebody,x\n")
    arguments = [str(corpus), "--dest", str(tmp_path / "store"), "--workers", "1", "--patients", str(table)]
    assert preprocess.main(arguments) == 0
    assert "records are not in" in capsys.readouterr().err
    rows = RecordStore(tmp_path / "store").metadata().to_pylist()
    assert {row["patient_id"] for row in rows if row["record_id"] == first} == {"somebody"}
    assert all(row["patient_id"].startswith("p") for row in rows if row["record_id"] != first)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("record,patient\nA0001,p1\n", "record_id among record, patient"),
        (
            "record_id,patient_id\nA0001,p1\nA0001,p2\n",
            "patients.csv:3: record A0001 is listed already in",
        ),
        (None, "there is no such table"),
    ],
)
def test_a_table_of_patients_that_cannot_be_used_is_refused(
    corpus, preprocess, tmp_path, capsys, table, message
):
    path = tmp_path / "patients.csv"
    if table is not None:
        path.write_text(table)
    assert preprocess.main([str(corpus), "--dest", str(tmp_path / "store"), "--patients", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_reports_reach_the_store_and_manifests_with_the_split_that_words_them(corpus, preprocess, tmp_path):
    arguments = [str(corpus), "--dest", str(tmp_path / "store"), "--workers", "1"]
    assert preprocess.main([*arguments, "--patients", str(corpus / "reports.csv")]) == 0
    expected = {row["record_id"]: row for row in read_csv(corpus / "reports.csv")}
    rows = RecordStore(tmp_path / "store").metadata().to_pylist()
    assert {r["record_id"]: r["report"] for r in rows} == {n: row["report"] for n, row in expected.items()}
    arguments = [str(tmp_path / "store"), "--dest", str(tmp_path / "text"), "--vocab-size", "200"]
    assert ecg_text.main([*arguments, "--split-table", str(corpus / "reports.csv")]) == 0
    table = read_texts(tmp_path / "text" / "texts.tsv")
    train = {line for text in table.of_split("train") for line in lines_of(text)}
    assert not train & {line for text in table.of_split("test") for line in lines_of(text)}
    for split in ("train", "valid", "test"):
        manifest = read_manifest(tmp_path / "text" / f"{split}.tsv")
        names = {record.split("/")[1] for record in manifest.record_ids}
        assert names == {name for name, row in expected.items() if row["split"] == split}
