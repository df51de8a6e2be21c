"""The nearest recordings of others: order, ties, who is left out, votes, and what is written of them."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.ecg.record import Record, Subject
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.listing import ListedRecording
from fairseq_signals.inference.retrieval import Retrieved, facts_of, nearest, prompt, retrieve, told
from fairseq_signals.manifest.labels import LabelTable

REPORTS = {"a1": "sinus rhythm", "a2": "sinus rhythm; normal ecg", "b1": "atrial fibrillation", "c1": None}
CODES = {"a1": ("1",), "a2": ("1", "2"), "b1": ("3",), "c1": ("3", "3")}
BASE = [ListedRecording(name, name, name[0]) for name in ("c1", "b1", "a2", "a1")]
ROWS = np.array([[0.0, 1.0], [0.6, 0.8], [1.0, 0.1], [1.0, 0.0]])


def record_of(source: str) -> Record:
    subject = Subject(61.0, "female", CODES.get(source, ()))
    return Record(
        source, 500.0, ("I", "II"), np.zeros((2, 2500), np.int16), np.ones(2), subject,
        report=REPORTS.get(source),
    )  # fmt: skip


def ask(name: str, patient: str | None, row: list, k: int = 2, **options: object) -> Retrieved:
    named = [ListedRecording(name, name, patient)]
    (found,) = retrieve(named, np.array([row]), BASE, ROWS, k, record_of, **options)
    return found


def names(found: Retrieved) -> list[str]:
    return [neighbour.record for neighbour in found.neighbours]


def test_the_nearest_come_first_and_equals_by_their_names():
    assert names(ask("q", None, [2.0, 0.0], k=4)) == ["a1", "a2", "b1", "c1"]
    (found,) = retrieve([ListedRecording("q", "q")], np.ones((1, 2)), BASE, np.ones((4, 2)), 3, record_of)
    assert names(found) == ["a1", "a2", "b1"]
    assert {neighbour.similarity for neighbour in found.neighbours} == {1.0}


def test_a_copy_of_the_query_under_another_name_is_first_and_the_query_itself_is_no_answer():
    assert ask("q", None, [0.6, 0.8]).neighbours[0].record == "b1"
    assert ask("q", None, [0.6, 0.8]).neighbours[0].similarity == pytest.approx(1)
    assert names(ask("b1", None, [0.6, 0.8])) == ["c1", "a2"]


def test_recordings_of_the_querys_patient_are_left_out():
    assert names(ask("q", "a", [1.0, 0.0], k=4)) == ["b1", "c1"]
    assert names(ask("q", "d", [1.0, 0.0], k=1)) == ["a1"]


def test_a_base_of_the_query_alone_is_refused():
    with pytest.raises(ConfigError, match="q: the base has no recording of another patient"):
        list(retrieve([ListedRecording("q", "q", "a")], ROWS[:1], BASE[2:], ROWS[2:], 2, record_of))


def test_votes_are_the_share_of_neighbours_that_have_a_code():
    assert ask("q", None, [1.0, 0.0], k=3).votes == pytest.approx({"1": 2 / 3, "2": 1 / 3, "3": 1 / 3})
    assert list(ask("q", None, [1.0, 0.0], k=3).votes) == ["1", "2", "3"]
    assert ask("q", None, [0.0, 1.0], k=2).votes == {"3": 1.0}  # a code counts once a neighbour


def test_a_label_table_says_classes_in_place_of_codes():
    table = LabelTable(("sinus rhythm", "fibrillation"), ("SR", "AF"), (("1", "2"), ("3",)))
    assert ask("q", None, [1.0, 0.0], k=3, labels=table).votes == pytest.approx(
        {"sinus rhythm": 2 / 3, "fibrillation": 1 / 3}
    )


def test_duplicates_are_always_found_and_shuffled_codes_vote_by_chance():
    rng = np.random.default_rng(0)
    base = [ListedRecording(f"r{i}", f"r{i}") for i in range(200)]
    queries = [ListedRecording(f"q{i}", f"q{i}") for i in range(200)]
    rows, codes = rng.normal(size=(200, 8)), rng.integers(4, size=200)
    for shown, low, high in ((codes, 1, 1), (rng.permutation(codes), 0.1, 0.4)):

        def read(source: str, shown: np.ndarray = shown) -> Record:
            subject = Subject(codes=(str(shown[int(source[1:])]),))
            return Record(source, 500.0, ("I",), np.zeros((1, 9), np.int16), np.ones(1), subject)

        found = retrieve(queries, rows, base, rows, 1, read)
        right = np.mean([list(one.votes) == [str(code)] for one, code in zip(found, codes)])
        assert low <= right <= high


def test_blocks_of_queries_give_what_all_at_once_do(monkeypatch):
    queries = np.random.default_rng(0).normal(size=(7, 2))
    barred = [[i % 4] for i in range(7)]
    whole = list(nearest(queries, ROWS, barred, 2))
    monkeypatch.setattr("fairseq_signals.inference.retrieval._BLOCK_PAIRS", 8)
    assert list(nearest(queries, ROWS, barred, 2)) == whole
    assert all(i not in {j for j, _ in found} for found, (i,) in zip(whole, barred))


def test_what_people_are_told():
    assert list(told(ask("q", "a", [1.0, 0.0], k=2))) == [
        "q (patient a)",
        "   1  0.6000  b1  [3]  atrial fibrillation",
        "   2  0.0000  c1  [3, 3]  -",
        "vote: 3 1.00",
    ]


@pytest.mark.parametrize(
    ("subject", "facts"),
    [
        (Subject(61.0, "female"), ["age 61 years", "sex female"]),
        (Subject(61.5), ["age 61.5 years"]),
        (Subject(sex="male"), ["sex male"]),
        (Subject(), []),
    ],
)
def test_what_a_file_does_not_tell_of_a_person_is_not_said(subject, facts):
    record = Record("q", 500.0, ("II",), np.zeros((1, 500), np.int16), np.ones(1), subject)
    assert list(facts_of(record)) == [*facts, "1 s of leads II"]


def test_a_prompt_holds_guidance_facts_reports_and_format_and_not_the_querys_own_report():
    found = ask("a1", "a", [1.0, 0.0], k=2)
    text = "\n".join(prompt(found, ["sinus rhythm", "flutter"]))
    assert "Consider each of these: sinus rhythm, flutter." in text
    assert "The ECG: age 61 years; sex female; 5 s of leads I, II." in text
    assert "1. (0.600) report: atrial fibrillation; diagnoses: 3" in text
    assert "2. (0.000) diagnoses: 3, 3" in text
    assert "Of these have: 3 100%." in text
    assert "Answer in JSON" in text
    assert "normal ecg" not in text
    assert "Consider" not in "\n".join(prompt(found))
