"""`manifests/ecg_text.py`: reports, or the names of labels, cleaned, made distinct and split by patient."""

import csv
import importlib
import json
import re

import numpy as np
import pytest

from fairseq_signals.manifest.folder import read_set
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.manifest.texts import read_texts
from fairseq_signals.text.tokenizer import UNK, Tokenizer

REPORTS = (
    "Sinus rhythm; Normal ECG",
    "SINUS RHYTHM; normal EKG.",
    "sinus rhythm; left axis deviation. Edit: LAD 100, (NDT)",
    "atrial fibrillation; T wave inversion",
    "*** atrial flutter ***; lead(s) unsuitable for analysis: V1",
)
#: Two records of each of forty patients; the last ones have no report that can be used.
RECORDS = [(f"r{i:02d}", {"patient_id": f"p{i // 2}", "report": REPORTS[i // 2 % 5]}) for i in range(80)]
WITHOUT = [
    ("x0", {"report": None}),
    ("x1", {"report": "trace only requested."}),
    ("x2", {"report": "normal"}),
]


@pytest.fixture
def texts(tmp_path):
    """`texts(folder="m")`: the text table of a folder."""
    return lambda folder="m": read_texts(tmp_path / folder / "texts.tsv")


@pytest.fixture
def tokenizer(tmp_path):
    return lambda folder="m": Tokenizer((tmp_path / folder / "text.model").read_bytes())


def test_each_record_is_paired_with_its_cleaned_text(make_store, succeed, rows, texts, tmp_path):
    succeed("ecg_text", make_store("s", [*RECORDS, *WITHOUT]))
    table = texts()
    assert table.texts == (
        "atrial fibrillation; t wave inversion",
        "atrial flutter",
        "sinus rhythm; left axis deviation",
        "sinus rhythm; normal ecg",
    )
    assert table.numbers == (16, 16, 16, 32)
    of_record = {row.record_id: table.texts[int(row.target)] for row in rows()}
    assert len(of_record) == 80
    assert {of_record[f"a/r{i:02d}"] for i in (0, 1, 2, 3)} == {"sinus rhythm; normal ecg"}
    assert of_record["a/r04"] == "sinus rhythm; left axis deviation"
    found = read_set(tmp_path / "m")
    assert (found.kind, found.faults, sorted(found.manifests)) == ("ecg_text", [], ["test", "train", "valid"])


def test_what_is_left_out_and_what_was_cleaned_is_told_by_reason(
    make_store, succeed, manifest_json, tmp_path
):
    out = succeed("ecg_text", make_store("s", [*RECORDS, *WITHOUT]))
    reasons = manifest_json()["left_out"]
    assert reasons == {
        "without a report": 1,
        "whose report says nothing about the heart": 1,
        "with a text of fewer than 2 words": 1,
    }
    assert manifest_json()["cleaned"] == {
        "remarks of editors": 16,
        "marks": 16,
        "damaged characters": 0,
        "damaged umlauts": 0,
        "unsuitable leads": 16,
        "idle phrases": 1,
        "EKG": 16,
    }
    assert re.search(r"remarks of editors +16  'Edit: LAD 100, \(NDT\)'", out)
    with (tmp_path / "m" / "cleaned.csv").open() as file:
        found = {(row["rule"], row["found"]): int(row["records"]) for row in csv.DictReader(file)}
    assert found["idle phrases", "trace only requested"] == 1
    assert found["marks", "***"] == 16


def test_patients_are_of_one_split_which_is_that_of_other_manifests_with_the_seed(
    make_store, succeed, read, tmp_path
):
    store = make_store("s", [*RECORDS, *WITHOUT])
    succeed("ecg_text", store)
    splits = {name: set(manifest.patient_ids) for name, manifest in read().items()}
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 40
    succeed(
        "classification", store, "--labels", "cinc2021", "--segment-seconds", 10, "--dest", tmp_path / "dx"
    )
    for name, manifest in read("dx").items():
        assert splits[name] <= set(manifest.patient_ids)
    assert "no violations" in succeed("check", tmp_path / "m", tmp_path / "dx")


def test_the_tokenizer_knows_training_texts_alone(
    make_store, succeed, texts, tokenizer, manifest_json, tmp_path
):
    split = {"p0": "test", "p1": "valid"}
    (tmp_path / "splits.csv").write_text(
        "patient_id,split\n" + "".join(f"p{i},{split.get(f'p{i}', 'train')}\n" for i in range(40))
    )
    reports = {"p0": "qqq zzz; sinus rhythm", "p1": "sinus rhythm; normal ecg"}
    records = [(name, {**of, "report": reports.get(of["patient_id"], of["report"])}) for name, of in RECORDS]
    out = succeed("ecg_text", make_store("s", records), "--split-table", tmp_path / "splits.csv")
    learnt, info = tokenizer(), manifest_json()
    assert all(UNK not in learnt.encode(text) for text in texts().of_split("train"))
    assert UNK in learnt.encode("qqq zzz")
    assert not any("q" in piece for piece in learnt.pieces)
    assert info["pieces"] == len(learnt)
    assert info["unseen_texts"] == {"valid": 0.0, "test": 1.0}
    assert (info["unknown_pieces"]["valid"], info["unknown_pieces"]["test"] > 0) == (0.0, True)
    assert "valid: 0.0% of its texts are not in train, 0.00% of their pieces are unknown" in out
    share = f"{info['unknown_pieces']['test']:.2%}"
    assert f"test: 100.0% of its texts are not in train, {share} of their pieces are unknown" in out


def test_pieces_do_not_depend_on_the_order_of_records_or_on_how_many_have_a_text(
    make_store, succeed, tokenizer
):
    succeed("ecg_text", make_store("s", RECORDS))
    more = [(f"m{i}", {"patient_id": "p0", "report": REPORTS[0]}) for i in range(9)]
    succeed("ecg_text", make_store("t", [*RECORDS[::-1], *more], 3), "--dest", make_store("n", RECORDS))
    assert tokenizer("n").pieces == tokenizer().pieces


def test_texts_can_be_made_of_labels(make_store, succeed, rows, texts):
    codes = [("164889003", "59118001"), ("426783006",), ("426177001", "164909002"), ("0",)]
    records = [(f"r{i:02d}", {"codes": codes[i % 4]}) for i in range(40)]
    succeed("ecg_text", make_store("s", records), "--text-from", "labels", "--labels", "cinc2021")
    of_record = {row.record_id: texts().texts[int(row.target)] for row in rows()}
    assert len(of_record) == 30
    assert of_record["a/r00"] == "atrial fibrillation; complete right bundle branch block"
    assert of_record["a/r01"] == "sinus rhythm"


def test_records_of_no_class_have_no_text_of_labels(make_store, succeed, manifest_json):
    records = [(f"r{i:02d}", {"codes": ("426783006",) if i else ("0",)}) for i in range(40)]
    succeed("ecg_text", make_store("s", records), "--text-from", "labels", "--labels", "cinc2021")
    assert manifest_json()["left_out"] == {"of none of the classes": 1}


def test_people_whom_others_hold_out_can_be_left_out(make_store, succeed, read, rows, tmp_path):
    store = make_store("s", RECORDS)
    dx = ("classification", store, "--labels", "cinc2021", "--seed", 2, "--dest", tmp_path / "dx")
    succeed(*dx)
    held_out = set(read("dx")["test"].patient_ids) | set(read("dx")["valid"].patient_ids)
    succeed("ecg_text", store, "--exclude", tmp_path / "dx")
    assert not held_out & {row.patient_id for row in rows()}


def test_training_on_the_text_of_somebody_whom_another_set_tests_is_a_violation(
    make_store, succeed, run, tmp_path
):
    store = make_store("s", RECORDS)
    succeed("ecg_text", store)
    succeed("classification", store, "--labels", "cinc2021", "--seed", 2, "--dest", tmp_path / "dx")
    code, out, _ = run("check", tmp_path / "m", tmp_path / "dx")
    assert code == 1
    assert "holds out for test" in out


def test_a_glossary_and_the_least_number_of_words_are_asked_for(
    make_store, succeed, texts, manifest_json, tmp_path
):
    (tmp_path / "g.csv").write_text("phrase,replacement\nsinus rhythm,sr\nnormal  ecg,\n")
    succeed("ecg_text", make_store("s", RECORDS), "--glossary", tmp_path / "g.csv", "--min-words", 3)
    assert texts().texts == ("atrial fibrillation; t wave inversion", "sr; left axis deviation")
    assert manifest_json()["cleaned"]["glossary"] == 48


def test_a_store_of_no_reports_is_refused_with_what_was_left_out(make_store, fails):
    error = fails(
        "ecg_text", make_store("s", [("r0", {"report": "normal"}), *((f"x{i}", {}) for i in range(9))])
    )
    assert "9 without a report" in error
    assert "1 with a text of fewer than 2 words" in error


@pytest.mark.parametrize("options", [("--text-from", "labels"), ("--labels", "cinc2021")])
def test_a_label_table_goes_with_texts_of_labels(make_store, fails, options):
    assert "give both or neither" in fails("ecg_text", make_store("s", RECORDS), *options)


@pytest.mark.parametrize(
    ("corpus", "splits", "expected"),
    [
        (
            "mimic_iv_ecg",
            {"10000032": "train", "10000635": "test", "10000117": "train"},
            {
                "40689238": "sinus rhythm; possible right atrial abnormality; borderline ecg",
                "44458630": "sinus rhythm; normal ecg",
                "43522917": "sinus bradycardia; left ventricular hypertrophy",
            },
        ),
        (
            "ptbxl",
            {"15709": "train", "20372": "test", "13243": "train"},
            {
                "00001_hr": "sinusrhythmus normales ecg",
                "00003_hr": 'infarkt, "alt"; vorhofflimmern',
                "00004_hr": "sinus rhythm",
            },
        ),
    ],
)
def test_stores_of_reported_corpora_give_their_reports(
    corpus, splits, expected, lookalike, write_wfdb, ecg_adu, succeed, rows, texts, tmp_path
):
    root = lookalike(corpus).make(tmp_path / "raw", write_wfdb, ecg_adu)
    preprocess = importlib.import_module(f"preprocess.{corpus}").main
    assert preprocess([str(root), "--dest", str(tmp_path / "store"), "--workers", "1"]) == 0
    table = "".join(f"{patient},{split}\n" for patient, split in splits.items())
    (tmp_path / "splits.csv").write_text("patient_id,split\n" + table)
    out = succeed("ecg_text", tmp_path / "store", "--split-table", tmp_path / "splits.csv")
    assert "1 without a report" in out
    assert {r.record_id.split("/")[1]: texts().texts[int(r.target)] for r in rows()} == expected


def test_other_texts_are_not_written_beside_vectors_of_those_before(
    make_store, succeed, fails, texts, tmp_path
):
    store = make_store("s", RECORDS)
    succeed("ecg_text", store)
    before, vectors = texts(), tmp_path / "m" / "texts.npy"
    np.save(vectors, np.zeros((len(before), 2)))
    succeed("ecg_text", store, "--seed", 2)  # the same texts, in other splits
    assert texts().texts == before.texts
    (tmp_path / "g.csv").write_text("phrase,replacement\natrial flutter,flutter of the atria\n")
    other = ("ecg_text", store, "--glossary", tmp_path / "g.csv")
    assert "texts.npy: its vectors are not of the texts that" in fails(*other)
    assert texts().texts == before.texts
    vectors.unlink()
    succeed(*other)
    assert len(texts()) == len(before)
    assert texts().texts != before.texts


# --- check.py --------------------------------------------------------------------------------------------


@pytest.fixture
def violation(make_store, succeed, run, tmp_path):
    """`violation(change)`: what `check` prints after `change(folder)`, which breaks a promise."""

    def call(change):
        succeed("ecg_text", make_store("s", RECORDS))
        assert "no violations" in succeed("check", tmp_path / "m")
        change(tmp_path / "m")
        code, out, _ = run("check", tmp_path / "m")
        assert code == 1
        return out

    return call


@pytest.mark.parametrize("target", ["4", "", "0,1"])
def test_a_target_beyond_the_texts_is_found(violation, target):
    def change(folder):
        manifest = read_manifest(folder / "train.tsv")
        first, *others = manifest.rows()
        lines = format_manifest(manifest.root, [Row(*first[:5], target), *others])
        (folder / "train.tsv").write_text("".join(lines))

    assert "1 targets are no text of texts.tsv" in violation(change)


def test_a_text_that_is_not_where_the_table_says_is_found(violation):
    def change(folder):
        path = folder / "texts.tsv"
        path.write_text(path.read_text().replace(",train", ""))

    assert "texts are in it or in texts.tsv, but not in both (such as " in violation(change)


@pytest.mark.parametrize("name", ["text.model", "texts.tsv"])
def test_a_file_that_is_gone_is_found(violation, name):
    assert name in violation(lambda folder: (folder / name).unlink())


def test_other_manifests_do_not_overwrite_texts(make_store, succeed, fails, tmp_path):
    store = make_store("s", RECORDS)
    succeed("ecg_text", store)
    assert "holds ecg_text manifests" in fails("classification", store, "--labels", "cinc2021")
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["kind"] == "ecg_text"
