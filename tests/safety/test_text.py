"""Text of others: escapes in place of what acts, once, and tables that give names back."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.errors import StoreError
from fairseq_signals.files import write_text
from fairseq_signals.safety.text import counted, csv_cell, csv_lines, csv_text, tell, tsv_line, visible
from fairseq_signals.store.csv_table import read_lines

TEXTS = st.text(st.characters(codec=None), max_size=20)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("sinus rhythm, 40 µV — čeština 日本", None),
        ("a\u00a0b\u200cc", None),  # a space that does not break, a letter's joint
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("a\u2028b\u202ec\ufeff", r"a\u2028b\u202ec\ufeff"),
        ("caf\udce9", r"caf\xe9"),
        ("half \ud83d", r"half \ud83d"),
    ],
)
def test_what_is_not_seen_is_escaped(text, seen):
    assert visible(text) == (text if seen is None else seen)


@given(TEXTS)
def test_what_is_visible_stays_and_can_be_written(text):
    once = visible(text)
    assert visible(once) == once
    assert len(once.encode().decode().splitlines()) <= 1
    assert visible(text, keep="\n").count("\n") == text.count("\n")


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\uff1d1", "'=1"])
def test_formulas_begin_with_a_quote(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-0.5, 3, None, "-0.5", "+1e-05", "-inf", "I-II", "a=b", "'tis", "-", ""])
def test_numbers_and_other_texts_stay_what_they_are(value):
    assert csv_cell(value) == value


@given(TEXTS)
def test_a_table_gives_back_what_is_visible_of_a_name(text):
    line = "".join(csv_lines([[text, 1]]))
    (row,) = csv.reader(io.StringIO(line, newline=""))
    assert csv_text(row[0]) == visible(text)


def test_names_are_found_again_in_a_table_of_ours(tmp_path):
    names = ["=1+1", "'=1+1", "-0.5", "a\nb", 'quote " comma ,']
    write_text(tmp_path / "t.csv", csv_lines([name] for name in names))
    rows = [cells[0] for _, cells in read_lines(tmp_path / "t.csv", StoreError)]
    assert rows == list(map(visible, names))


def test_rows_and_messages_are_of_one_line(capsys):
    assert tsv_line(["a\tb", "c\nd", 3]) == "a\\tb\tc\\nd\t3\n"
    tell(ValueError("no\nsuch \x1b[2Jfile"))
    assert capsys.readouterr().err == "no\\nsuch \\x1b[2Jfile\n"


def test_one_thing_is_not_several():
    assert [counted(n, "gap") for n in (0, 1, 2000)] == ["0 gaps", "1 gap", "2,000 gaps"]
