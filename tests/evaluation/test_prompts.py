"""Prompts: the names of the classes, or a file with one or several texts of each."""

from __future__ import annotations

import pytest

from fairseq_signals.errors import LabelError
from fairseq_signals.evaluation.prompts import prompts_of
from fairseq_signals.manifest.labels import LabelTable

TABLE = LabelTable(("atrial fibrillation", "sinus rhythm"), ("AF", ""), (("1",), ("2",)))


@pytest.fixture
def write(tmp_path):
    def call(text: str):
        path = tmp_path / "prompts.csv"
        path.write_text(text)
        return path

    return call


def test_without_a_file_each_class_is_called_by_its_name():
    assert prompts_of(TABLE) == [(0, "atrial fibrillation"), (1, "sinus rhythm")]


def test_a_class_may_have_several_under_its_name_or_abbreviation(write):
    path = write("class,prompt\nsinus rhythm,regular p waves\nAF,no p waves\natrial fibrillation,irregular\n")
    assert prompts_of(TABLE, path) == [(1, "regular p waves"), (0, "no p waves"), (0, "irregular")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class,prompt\nAF,x\nsinus rythm,y\n",
            r"csv:3: there is no class 'sinus rythm'.*sinus rhythm",
        ),
        ("class,prompt\nAF,x\n", r"has no prompt for 1 of 2 classes: sinus rhythm"),
        ("class,prompt\nAF,\n", r"prompts\.csv:2: prompt must be some text"),
        ("class,text\nAF,x\n", r"there is no column prompt"),
    ],
)
def test_prompts_of_other_classes_or_of_not_all_are_refused(write, text, message):
    with pytest.raises(LabelError, match=message):
        prompts_of(TABLE, write(text))
