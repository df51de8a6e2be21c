"""WFDB headers and what their comments tell."""

from pathlib import Path

import pytest

from fairseq_signals.ecg.record import Subject
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.wfdb_comments import parse_comments
from fairseq_signals.formats.wfdb_header import parse_header, read_header

PATH = Path("r.hea")


def test_a_header_gives_rate_length_and_every_field_of_a_signal():
    header = parse_header(
        "r 1 500 5000\nr.mat 16x2:3+24 1000.5(-7)/uV 16 0 12 345 0 lead I\n# Age: 6\n", PATH
    )
    assert (header.fs, header.n_samples, header.segments, header.comments) == (500.0, 5000, (), ("Age: 6",))
    (line,) = header.signals
    assert (line.file_name, line.fmt, line.samples_per_frame, line.skew, line.byte_offset) == (
        "r.mat",
        "16",
        2,
        3,
        24,
    )
    assert (line.adc_gain, line.baseline, line.units, line.description) == (1000.5, -7, "uV", "lead I")


def test_omitted_fields_have_the_defaults_of_the_format():
    header = parse_header("r 2\nr.dat 212\nr.dat 212 100 12 1024\n", PATH)
    assert (header.fs, header.n_samples) == (250.0, None)
    first, second = header.signals
    assert (first.adc_gain, first.baseline, first.units, first.description) == (200.0, 0, "mV", "")
    assert (second.adc_gain, second.baseline) == (
        100.0,
        1024,
    )  # the baseline is the ADC zero where it is not given


def test_the_record_line_of_the_early_challenge_is_read():
    header = parse_header("E1.mat 1 500 5000 05-May-2020 14:50:55\nE1.mat 16+24 1000/mV 16 0 0 0 0 I\n", PATH)
    assert (header.fs, header.n_samples, len(header.signals)) == (500.0, 5000, 1)


def test_a_counter_frequency_does_not_change_the_sampling_rate():
    assert parse_header("r 0 62.4725/999.56(3) 10", PATH).fs == 62.4725


def test_the_segments_of_a_multi_segment_record_are_named():
    header = parse_header("r/3 2 125 2000\nlayout 0\n~ 500\nr_1 1500\n", PATH)
    assert header.segments == ("layout", "~", "r_1")
    assert header.signals == ()


@pytest.mark.parametrize(
    ("unit", "millivolt"),
    [("mV", 1), ("mv", 1), ("uV", 1e-3), ("\u00b5V", 1e-3), ("\u03bcV", 1e-3), ("V", 1e3), ("nV", 1e-6),
     ("mmHg", None), ("NU", None)],
)  # fmt: skip
def test_units_are_converted_by_name(unit, millivolt):
    header = parse_header(f"r 1 500 10\nr.dat 16 1000(0)/{unit} 16 0 0 0 0 I\n", PATH)
    assert header.signals[0].mv_per_unit == millivolt


def test_a_latin_1_micro_sign_is_read(tmp_path):
    path = tmp_path / "r.hea"
    path.write_bytes(b"r 1 500 10\nr.dat 16 1(0)/\xb5V 16 0 0 0 0 I\n")
    assert read_header(path).signals[0].mv_per_unit == 1e-3


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff# made by hand\nr 1 500 10\r\nr.dat 16 1/uV 16 0 0 0 0 I\n".encode(),
        "r 1 500 10\r\nr.dat 16 1/uV 16 0 0 0 0 I\r\n".encode("utf-16"),
        "r 1 500 10\r\nr.dat 16 1/uV 16 0 0 0 0 I\r\n".encode("utf-16-le"),
        "r 1 500 10\r\nr.dat 16 1/uV 16 0 0 0 0 I\r\n".encode("utf-16-be"),
        "# caf\xe9 \u2026\x0b\u2028\nr 1 500 10\rr.dat 16 1/uV 16 0 0 0 0 I\n".encode(),
        b"# 12 leads\x85standard\nr 1 500 10\nr.dat 16 1/uV 16 0 0 0 0 I\n",
    ],
)
def test_a_line_ends_where_the_format_says_whatever_the_encoding(tmp_path, data):
    path = tmp_path / "r.hea"
    path.write_bytes(data)
    (line,) = read_header(path).signals
    assert (line.units, line.description) == ("uV", "I")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bytes(300), "a file of zeros"),
        (b"<!DOCTYPE html><html><title>404 Not Found</title>", "an HTML page. Download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 9\n", "a Git LFS pointer"),
        (b"0       " + b" " * 248, "an EDF"),
    ],
)
def test_a_file_that_is_no_header_is_called_what_it_is(tmp_path, data, what):
    path = tmp_path / "r.hea"
    path.write_bytes(data)
    with pytest.raises(SignalError, match=f"r.hea is not a WFDB header but {what}") as error:
        read_header(path)
    assert error.value.kind == "of another format"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("# only comments\n", "it is empty"),
        ("\x00\x01binary", "the record line"),
        ("r twelve 500 10", "the record line 'r twelve 500 10' is not"),
        ("r 2 500 10\nr.dat 16 200 16 0 0 0 0 I", "announces 2 signals, but 1 lines follow"),
        ("r 1 500 10\nr.dat 16 200\nr.dat 16 200", "announces 1 signals, but 2 lines of signals follow"),
        ("r/3 2 500 10\nr_1 5", "announces 3 segments, but 1 lines follow"),
        ("r 1 500 10\nr.dat", "does not start with 'file format'"),
        ("r 1 500 10\nr.dat sixteen 200", "does not start with 'file format'"),
        ("r 1 500 10\nr.dat 16 high/mV", "is not a number"),
    ],
)
def test_a_malformed_header_is_refused_with_the_reason(text, message):
    with pytest.raises(SignalError, match=message) as error:
        parse_header(text, PATH)
    assert "r.hea" in str(error.value)
    assert error.value.kind == "with a malformed header"


def test_a_missing_header_is_named(tmp_path):
    with pytest.raises(SignalError, match=r"gone\.hea: there is no such header"):
        read_header(tmp_path / "gone.hea")


@pytest.mark.parametrize(
    ("comments", "subject"),
    [
        (
            (" Age: 77", " Sex: Female", " Dx: 253352002,427084000"),
            (77, "female", ("253352002", "427084000")),
        ),
        (("Dx: 1", "Sex: Male", "Age: 65"), (65, "male", ("1",))),  # order does not matter
        (("AGE : 5.5", "sex:m", "DX: 1, 2 ,1"), (5.5, "male", ("1", "2"))),
        (("<age>: 71", "<sex>: F", "<diagnoses>:"), (71, "female", ())),
        (("<age>: 25  <sex>: M  <diagnoses>: (none)",), (25, "male", ())),
        (("Age: NaN", "Sex: Unknown", "Dx: Unknown"), (None, None, ())),
        (("Age: -1", "Sex: NaN"), (None, None, ())),
        (("<age>: ?? <sex>: ?",), (None, None, ())),
        (("Age: 60", "Age: 0", "Average: 3"), (60, None, ())),  # the first counts, and only the whole word
        (("age 71", "sex F"), (71, "female", ())),  # no colon
        (("Age: 62  Sex: M  Dx: 1", "age 9"), (62, "male", ("1",))),
        (("age 18 months, sex male", "Sex differences are known", "ages 3"), (1.5, "male", ())),
        (("Age: 7M", "Sex=F"), (7 / 12, "female", ())),
        (("Rhythm: Sinus rhythm.", "no keyword here"), (None, None, ())),
        ((), (None, None, ())),
    ],
)
def test_comments_are_read_by_keyword(comments, subject):
    found = parse_comments(comments)
    assert (found.age, found.sex, found.codes) == subject


def test_comments_with_and_without_a_blank_after_the_hash_are_the_same():
    lines = "r 1 500 10\nr.dat 16 200 16 0 0 0 0 I\n"
    spaced = parse_header(lines + "# Age: 50\n# Sex: F\n", PATH)
    tight = parse_header(lines + "#Age: 50\n#Sex: F\n", PATH)
    assert parse_comments(spaced.comments) == parse_comments(tight.comments) == Subject(age=50, sex="female")


@pytest.mark.parametrize("comment", ["Patient ID: 507884", "<subject_id>: 507884"])
def test_a_patient_number_in_the_comments_is_found(comment):
    assert parse_comments(("Exam ID: 1", comment)).patient_id == "507884"


def test_other_comments_that_tell_something_are_kept_under_their_keywords():
    comments = ("ECG date: 07.12.2004", "Rx: Unknown", "Ischemia: apical", "Ischemia: septal", "text")
    assert parse_comments(comments).other == (
        ("ECG date", "07.12.2004"),
        ("Ischemia", "apical; septal"),
    )


@pytest.mark.parametrize(
    "text",
    ["r 1 500 10\n../r.dat 16 200 16 0 0 0 0 I", "r/1 1 500 10\n../other 10", "r 1 500 10\na\0b 16 200"],
)
def test_a_file_name_that_leads_elsewhere_is_refused(text):
    with pytest.raises(SignalError, match="file beside it"):
        parse_header(text, PATH)
