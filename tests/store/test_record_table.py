"""Metadata tables."""

import pytest

from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.record_table import join_table, read_record_table


def write(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_column_is_read_and_empty_cells_are_left_to_the_header(tmp_path):
    table = read_record_table(
        write(
            tmp_path,
            "\ufeffrecord_id,patient_id,age,sex,codes,report,source,fold\n"
            'a/r1,007,61.5,F,"NORM|SR","all, ""fine""",ptb-xl,3\n'
            'a/r2,,,,"1,2",,,\n',
        )
    )
    assert table.rows == {
        "a/r1": {
            "patient_id": "007", "age": 61.5, "sex": "female", "codes": ("NORM", "SR"),
            "report": 'all, "fine"', "source": "ptb-xl",
        },
        "a/r2": {"codes": ("1", "2")},
    }  # fmt: skip
    assert table.ignored_columns == ("fold",)


def test_what_is_not_known_is_left_to_the_header_and_one_person_has_one_number(tmp_path):
    rows = "a,NA,999,nan,None\nb,12,300,,AF\nc,12.0,18 months,NA,\"['AF', 'SR']\"\n"
    table = read_record_table(write(tmp_path, f"record_id,patient_id,age,sex,codes\n{rows}"))
    assert table.rows == {
        "a": {"age": None},
        "b": {"patient_id": "12", "age": None, "codes": ("AF",)},
        "c": {"patient_id": "12", "age": 1.5, "codes": ("AF", "SR")},
    }


@pytest.mark.parametrize("mark", "\x0b\x0c\x1c\x85\u2028\u2029")
def test_a_row_ends_at_the_end_of_a_line_alone(tmp_path, mark):
    table = read_record_table(write(tmp_path, f"record_id,report,codes\na,one{mark}two,1{mark}2\nb,,3\n"))
    assert table.rows == {"a": {"report": f"one{mark}two", "codes": ("1", "2")}, "b": {"codes": ("3",)}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"table\.csv:1: there is no column record_id among none"),
        ("ecg_id,age\n1,2\n", r"table\.csv:1: there is no column record_id among ecg_id, age"),
        ("record_id\na\nb\na\n", r"table\.csv:4: record a is listed already in .*table\.csv:2"),
        ("record_id,sex\na,0\n", r"table\.csv:2: sex must be female, male or empty, but is '0'"),
        ("record_id,age\na,old\n", r"table\.csv:2: age must be years .*, or empty, but is 'old'"),
        ("record_id,age\n,5\n", r"table\.csv:2: record_id must be some text, but is ''"),
    ],
)
def test_a_faulty_table_is_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(StoreError, match=message):
        read_record_table(write(tmp_path, text))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"gone\.csv: there is no such table"):
        read_record_table(tmp_path / "gone.csv")


def test_joining_reports_what_does_not_match(tmp_path):
    table = read_record_table(write(tmp_path, "record_id,patient_id,Age,session\na,p,5,1\nc,q,6,1\n"))
    items = [Item("s", name, f"/{name}.hea") for name in "ab"]
    joined, remarks = join_table(items, table)
    assert [(item.record_id, item.patient_id) for item in joined] == [("a", "p"), ("b", None)]
    assert [remark.partition("table.csv")[2] for remark in remarks] == [
        ": column 'Age' is not read; did you mean age?",
        "; kept with what their headers tell (first: b)",
        " have no record (first: c)",
    ]
    assert [item.record_id for item in join_table(items, table, only_listed=True)[0]] == ["a"]
