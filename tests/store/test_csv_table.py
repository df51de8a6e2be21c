"""Tables that people or corpora give: streamed rows with their lines, and checked cells."""

import gzip
import os

import pytest

from fairseq_signals.errors import LabelError, StoreError
from fairseq_signals.store.csv_table import read_lines, read_rows, read_table


@pytest.fixture
def table(tmp_path):
    """`table(text)`: the rows of a file with this text."""

    def read(text, columns=("a", "b"), name="t.csv"):
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return read_rows(path, columns)

    return read


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_rows_come_one_by_one_with_their_lines(table, name):
    rows = table('\ufeffa, b,c\n1, x ,\n\n"2\n3","y, z",w\n', name=name)
    assert iter(rows) is rows
    first, second = rows
    assert first.cells == {"a": "1", "b": "x", "c": ""}
    assert second.cells == {"a": "2\n3", "b": "y, z", "c": "w"}
    assert [row.where.rpartition(":")[2] for row in (first, second)] == ["2", "5"]


def test_a_fault_is_met_when_its_row_is_reached(table):
    rows = table("a,b\n1,2\n3\n")
    assert next(rows).number("a") == "1"
    with pytest.raises(StoreError, match=r"t\.csv:3: there are 1 cells for 2 columns. Restore"):
        next(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no column a, b among none"),
        ("a,c\n1,2\n", "there is no column b among a, c"),
        (b"a,b\n\xff,\xfe\n", "the table cannot be read"),
        ('a,b\n"' + "x" * 200_000 + '",2\n', "the table cannot be read .field larger than"),
    ],
)
def test_what_is_not_such_a_table_is_an_error(table, text, message):
    with pytest.raises(StoreError, match=message):
        list(table(text))


def test_a_missing_table_and_a_cut_off_archive_are_errors(tmp_path):
    with pytest.raises(StoreError, match="there is no such table"):
        list(read_rows(tmp_path / "gone.csv", ()))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:30])
    with pytest.raises(StoreError, match="the table cannot be read"):
        list(read_rows(tmp_path / "t.csv.gz", ("a",)))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match=r"the table cannot be read \(.*it is a pipe"):
        list(read_lines(tmp_path / name, StoreError))


def test_cells_are_read_as_what_they_are(table):
    (row,) = table("whole,float,age,true,one,none,sex,text\n7,13243.0,61.5,True,0,,1,fine\n", ("whole",))
    assert (row.number("whole"), row.number("float"), row.age("age")) == ("7", "13243", 61.5)
    assert (row.truth("true"), row.truth("one"), row.truth("none")) == (True, False, None)
    assert (row.age("none"), row.choice("sex", {"1": "female"}), row.choice("none", {})) == (
        None,
        "female",
        None,
    )
    assert row.attributes(("whole", "float", "age", "true", "one")) == (("sex", "1"), ("text", "fine"))
    assert row.attributes(row.cells) is None


@pytest.mark.parametrize("text", ["", "x", "1.5", "nan", "inf", "1e400"])
def test_what_is_no_whole_number_is_named(table, text):
    (row,) = table(f"a,b\n{text},2\n")
    with pytest.raises(StoreError, match=f"t.csv:2: a must be a whole number, but is '{text}' instead"):
        row.number("a")


@pytest.mark.parametrize("text", ["6o", "MAY-51", "old"])
def test_what_is_no_age_is_named(table, text):
    (row,) = table(f"a,b\n{text},2\n")
    with pytest.raises(StoreError, match=r"a must be years .*, or empty"):
        row.age("a")


@pytest.mark.parametrize("text", ["-1", "300", "nan", "NA", "> 89"])
def test_an_age_that_is_not_known_is_none(table, text):
    (row,) = table(f"a,b\n{text},2\n")
    assert row.age("a") is None


def test_the_tables_of_people_may_have_rows_that_are_too_short_or_too_long(tmp_path):
    """What is wrong with them is told in the words of who reads them."""
    (tmp_path / "mine.csv").write_text("a,b\n\n1\n1,2,3\n")
    columns, rows = read_table(tmp_path / "mine.csv", ["a"], LabelError, "Mend it.")
    assert columns == ("a", "b")
    found = list(rows)
    assert [(row.where[-10:], row.cells) for row in found] == [
        ("mine.csv:3", {"a": "1", "b": ""}),
        ("mine.csv:4", {"a": "1", "b": "2"}),
    ]
    with pytest.raises(LabelError, match=r"mine\.csv:3: b must be some text, but is '' instead\. Mend it\."):
        found[0].text("b")
    with pytest.raises(LabelError, match=r"mine\.csv:1: there is no column c among a, b\. Mend it\."):
        read_table(tmp_path / "mine.csv", ["c"], LabelError, "Mend it.")


def test_a_line_without_an_end_takes_no_memory(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wb") as file:
        file.write(b"a\n" + bytes(1 << 25))
    with pytest.raises(StoreError, match=r"t\.csv\.gz: .*a line has 16,777,216 characters or more"):
        list(read_rows(tmp_path / "t.csv.gz", ["a"]))
