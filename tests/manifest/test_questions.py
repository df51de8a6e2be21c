"""Question tables: written and read the same, refused with their line."""

from __future__ import annotations

import pytest

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.questions import Question, ecg_rows, question_lines, read_questions

ONE = Question("single-verify", "scp_code", "Is this AF?", ("a/r1",), (1,), (0, 1))
TWO = Question("comparison_consecutive-query", "noise", "What\tis new?", ("a/r1", "a/r2"), (), (0, 1, 2))


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "train.questions.tsv"
    path.write_text("".join(question_lines([ONE, TWO])))
    assert read_questions(path, 3) == [ONE, TWO._replace(text=r"What\tis new?")]
    assert ecg_rows([ONE, TWO], ["a/r2", "a/r1"], "t").tolist() == [[1, -1], [1, 0]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (ONE._replace(answers=(2,)), r"questions\.tsv:2: answers '2' must be among the valid ones, '0,1'"),
        (ONE._replace(valid=(1, 3), answers=(3,)), r":2: answers '3' .* the 3 of answers\.csv"),
        (ONE._replace(text=""), ":2: must have 8 columns, with a type, a text and a record"),
        (ONE._replace(answers=("x",)), ":2: answers must be numbers"),
    ],
)
def test_rows_that_cannot_be_are_refused_with_their_line(changed, message, tmp_path):
    path = tmp_path / "train.questions.tsv"
    path.write_text("".join(question_lines([changed])))
    with pytest.raises(ManifestError, match=message):
        read_questions(path, 3)


def test_another_table_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "x.tsv").write_text("a\tb\n")
    with pytest.raises(ManifestError, match=r"x\.tsv:1: must be the columns question_id, type"):
        read_questions(tmp_path / "x.tsv", 3)
    with pytest.raises(ManifestError, match="the questions cannot be read"):
        read_questions(tmp_path / "y.tsv", 3)


def test_a_question_about_another_ecg_is_refused_with_its_line():
    with pytest.raises(ManifestError, match="t:3: asks about a/r2"):
        ecg_rows([ONE, TWO], ["a/r1"], "t")
