"""`ecg_qa.py`: ECG-QA as it is published, questions of labels, and who is in which split."""

from __future__ import annotations

import json

import pytest

from fairseq_signals.manifest.labels import read_labels
from fairseq_signals.manifest.questions import read_questions
from fairseq_signals.text.tokenizer import Tokenizer

AF, SR, SB = "164889003", "426783006", "426177001"
ANSWERS = ("no", "yes", "none", "af", "qt interval", "bigeminal pattern (unknown origin, or ventricular)")


def item(template, kind, question, answer, ecgs, attribute=None) -> dict:
    keys = {"template_id": template, "question_id": 7, "sample_id": 0, "question_type": kind}
    return {**keys, "attribute_type": "scp_code", "question": question, "answer": answer, "ecg_id": ecgs,
            "attribute": attribute}  # fmt: skip


@pytest.fixture
def publish(tmp_path):
    """`publish(train=[...], ...)`: a folder as ECG-QA has it, in two files of training."""

    def make(**splits):
        base = tmp_path / "ptbxl"
        for split, items in splits.items():
            folder = base / "paraphrased" / split
            folder.mkdir(parents=True)
            for k, part in enumerate((items[:1], items[1:])):
                (folder / f"{k}0000.json").write_text(json.dumps(part))
        rows = "".join(f'{i},"{name}"\n' for i, name in enumerate(ANSWERS))
        (base / "answers.csv").write_text(f"index,class\n{rows}")
        classes = {1: ["no", "yes"], 2: ["af", "none", "qt interval"]}
        lines = "".join(f'{i},"{names}"\n' for i, names in classes.items())
        (base / "answers_for_each_template.csv").write_text(f"template_id,classes\n{lines}")
        return base / "paraphrased"

    return make


@pytest.fixture
def ptbxl(make_store):
    """Records 1 to 8 of PTB-XL, two of each patient."""
    return make_store(
        "s", [(f"{i:05d}_hr", {"source": "ptb-xl", "patient_id": f"p{(i - 1) // 2}"}) for i in range(1, 9)]
    )


VERIFY = item(1, "single-verify", "Is there AF?", ["yes"], [1], ["af"])
QUERY = item(2, "single-query", "What is there?", ["none"], [2])
NEW = item(2, "comparison_consecutive-query", "What is new?", ["af", "qt interval"], [1, 2])
HELD = item(1, "single-verify", "Any AF at all?", ["no"], [5])
VALID = item(1, "single-verify", "Any AF here?", ["no"], [7])


def questions(tmp_path, split="train"):
    n = len(read_labels(tmp_path / "m" / "answers.csv"))
    return read_questions(tmp_path / "m" / f"{split}.questions.tsv", n)


def test_questions_of_ecg_qa_are_about_records_of_the_store(publish, ptbxl, succeed, tmp_path, read):
    folder = publish(train=[VERIFY, QUERY, NEW], valid=[VALID], test=[HELD])
    out = succeed("ecg_qa", ptbxl, "--questions", folder, "--vocab-size", 40)
    verify, query, new = questions(tmp_path)
    answers = read_labels(tmp_path / "m" / "answers.csv").names
    assert answers == tuple(name for name in ANSWERS if name != "none")
    assert verify.ecgs == ("ptb-xl/00001_hr",)
    assert [answers[i] for i in verify.answers] == ["yes"]
    assert [answers[i] for i in verify.valid] == ["no", "yes"]
    assert (query.answers, [answers[i] for i in query.valid]) == ((), ["af", "qt interval"])  # none is none
    assert new.ecgs == ("ptb-xl/00001_hr", "ptb-xl/00002_hr")
    assert [answers[i] for i in new.answers] == ["af", "qt interval"]
    assert {name: m.record_ids for name, m in read().items()} == {
        "train": ["ptb-xl/00001_hr", "ptb-xl/00002_hr"],
        "valid": ["ptb-xl/00007_hr"],
        "test": ["ptb-xl/00005_hr"],
    }
    assert "questions of train: 3" in out
    assert "5 that no question asks about" not in out.splitlines()[0]
    assert "that no question asks about" in out
    succeed("check", tmp_path / "m")


def test_held_out_questions_in_words_of_training_are_counted(publish, ptbxl, succeed, manifest_json):
    others = [{**HELD, "question": text} for text in ("Is there AF?", "What is there?", "Can AF be seen?")]
    out = succeed(
        "ecg_qa", ptbxl, "--questions", publish(train=[VERIFY, QUERY], test=others), "--vocab-size", 40
    )
    assert manifest_json()["unseen_texts"] == {"test": pytest.approx(1 / 3)}
    assert "33.3% of their texts are not in train" in out


def test_numbers_of_ecgs_may_be_written_as_texts(publish, ptbxl, succeed, tmp_path):
    folder = publish(train=[{**VERIFY, "ecg_id": ["1"]}], test=[HELD])
    succeed("ecg_qa", ptbxl, "--questions", folder, "--vocab-size", 40)
    assert questions(tmp_path)[0].ecgs == ("ptb-xl/00001_hr",)


@pytest.mark.parametrize(
    ("attribute", "valid"),
    [
        (["af", "qt interval of 360 to 440"], ["af", "qt interval"]),
        (["af", "something else"], ["af", "qt interval"]),  # as the template says
        (None, ["af", "qt interval"]),
        (["qt interval of 360 to 440"], ["qt interval"]),
    ],
)
def test_what_can_be_chosen_are_the_two_that_are_named(publish, ptbxl, succeed, tmp_path, attribute, valid):
    folder = publish(
        train=[item(2, "single-choose", "A or B?", ["qt interval"], [1], attribute)], test=[HELD]
    )
    succeed("ecg_qa", ptbxl, "--questions", folder, "--vocab-size", 30)
    answers = read_labels(tmp_path / "m" / "answers.csv").names
    assert [answers[i] for i in questions(tmp_path)[0].valid] == valid


def test_questions_about_patients_who_are_tested_or_ecgs_that_are_absent_are_left_out_and_counted(
    publish, ptbxl, succeed, tmp_path
):
    of_tested = {**VERIFY, "ecg_id": [6]}  # record 5 of the same patient is tested
    absent = {**VERIFY, "ecg_id": [99]}
    half = {**NEW, "ecg_id": [1, 99]}
    folder = publish(train=[VERIFY, of_tested, absent, half], test=[HELD])
    out = succeed("ecg_qa", ptbxl, "--questions", folder, "--vocab-size", 40)
    assert len(questions(tmp_path)) == 1
    assert "questions left out, train: about a patient of a split that is tested: 1" in out
    assert "questions left out, train: about an ECG that the store does not have: 2" in out


def test_pretraining_leaves_out_the_patients_of_held_out_questions(publish, ptbxl, succeed, tmp_path, rows):
    folder = publish(train=[VERIFY], valid=[VALID], test=[HELD])
    succeed("ecg_qa", ptbxl, "--questions", folder, "--vocab-size", 40)
    succeed("pretrain", ptbxl, "--exclude", tmp_path / "m", "--dest", tmp_path / "p", "--valid-fraction", 0)
    assert {row.record_id for row in rows("p")} == {f"ptb-xl/{i:05d}_hr" for i in (1, 2, 3, 4)}
    succeed("check", tmp_path / "m", tmp_path / "p")


def test_the_tokenizer_is_of_training_questions_or_the_one_that_is_given(publish, ptbxl, succeed, tmp_path):
    folder = publish(train=[VERIFY], test=[{**HELD, "question": "zebra"}])
    succeed("ecg_qa", ptbxl, "--questions", folder, "--vocab-size", 30)
    first = (tmp_path / "m" / "text.model").read_bytes()
    assert not any("z" in piece for piece in Tokenizer(first).pieces)
    again = ("--dest", tmp_path / "n", "--tokenizer", tmp_path / "m" / "text.model")
    succeed("ecg_qa", ptbxl, "--questions", folder, *again)
    assert (tmp_path / "n" / "text.model").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": ["maybe"]}, r"0.json: question 0: 'maybe' is not among the answers of answers.csv"),
        ({"ecg_id": []}, "ecg_id must name one ECG or two"),
        ({"ecg_id": [1, 2, 3]}, "ecg_id must be"),
        ({"question": 3}, "question must be"),
    ],
)
def test_files_that_are_not_as_published_are_refused_by_question(publish, ptbxl, fails, change, message):
    import re

    err = fails("ecg_qa", ptbxl, "--questions", publish(train=[{**VERIFY, **change}]))
    assert re.search(message, err), err


def test_a_folder_without_questions_is_refused(publish, ptbxl, fails):
    folder = publish(train=[VERIFY])
    (folder.parent / "others").mkdir()
    err = fails("ecg_qa", ptbxl, "--questions", folder.parent / "others")
    assert "name the folder paraphrased or template" in err


@pytest.fixture
def labelled(make_store):
    """Two records of each of 20 patients, by turns of three rhythms."""
    codes = (AF, SR, SB)
    return make_store(
        "s", [(f"r{i:02d}", {"patient_id": f"p{i // 2}", "codes": (codes[i % 3],)}) for i in range(40)]
    )


def test_questions_of_labels_are_asked_of_patients_of_each_split_in_words_of_their_own(
    labelled, succeed, tmp_path, read, manifest_json
):
    out = succeed("ecg_qa", labelled, "--labels", "cinc2021", "--split", "6:2:2")
    patients = {name: set(m.patient_ids) for name, m in read().items()}
    assert not patients["train"] & (patients["valid"] | patients["test"])
    info = manifest_json()
    assert info["unseen_texts"] == {"valid": 1.0, "test": 1.0}
    assert "100.0% of their texts are not in train" in out
    names = read_labels(tmp_path / "m" / "answers.csv").names
    assert names[-2:] == ("yes", "no")
    record_class = {
        f"a/r{i:02d}": ("atrial fibrillation", "sinus rhythm", "sinus bradycardia")[i % 3] for i in range(40)
    }
    for split in patients:
        for one in questions(tmp_path, split):
            if one.type == "single-query":
                assert [names[i] for i in one.answers] == [record_class[one.ecgs[0]]]
    succeed("check", tmp_path / "m")


def test_check_finds_a_question_about_an_ecg_of_another_split(labelled, succeed, run, tmp_path):
    succeed("ecg_qa", labelled, "--labels", "cinc2021", "--split", "6:2:2")
    path = tmp_path / "m" / "train.questions.tsv"
    lines = path.read_text().split("\n")
    cells = lines[1].split("\t")
    other = read_questions(tmp_path / "m" / "test.questions.tsv", 99)[0].ecgs[0]
    lines[1] = "\t".join([*cells[:4], other, *cells[5:]])
    path.write_text("\n".join(lines))
    code, out, err = run("check", tmp_path / "m")
    assert code == 1
    assert f"train.questions.tsv:2: asks about {other}, which is not in the manifest" in out + err


def test_one_of_the_sources_must_be_given(labelled, fails):
    assert "one of the arguments --questions --labels is required" in fails("ecg_qa", labelled)
