"""What a recording is, whatever file it came from."""

import ast

import pytest

from fairseq_signals.ecg.record import parse_age, parse_codes, parse_patient


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("1|2,3;2", ("1", "2", "3")),
        ("426783006 164889003", ("426783006", "164889003")),
        ("I48.0 I49.3", ("I48.0", "I49.3")),
        ("sinus rhythm; 1st degree AV block", ("sinus rhythm", "1st degree AV block")),
        ("['AF', 'sinus rhythm']", ("AF", "sinus rhythm")),
        ('["fibrillation, atrial"]', ("fibrillation, atrial",)),
        ("{'NORM': 100.0, 'SR': 0.0}", ("NORM", "SR")),
        ("[426783006 164889003]", ("426783006", "164889003")),
        ("AF\x0bPVC\u2028SB\x85", ("AF", "PVC", "SB")),
        ("426783006.0|427.0", ("426783006", "427.0")),
        ("(RVOT) ectopy (left)", ("(RVOT) ectopy (left)",)),
        ("NA", ()),
        ("Unknown, nan, AF", ("AF",)),
    ],
)
def test_codes_are_taken_apart_however_they_are_listed(text, codes):
    assert parse_codes(text) == codes


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("61", 61), ("61,5", 61.5), ("61 years old", 61), ("065Y", 65), ("56 ans", 56),
        ("0", 0), ("120", 120),
        ("18 months", 1.5), ("7m", 7 / 12), ("018M", 1.5), ("2 years, 6 months", 2.5), ("6wk", 42 / 365.25),
        ("3 d", 3 / 365.25), ("3 Days", 3 / 365.25), ("12 h", 12 / 8766),
        ("300", None), ("999", None), ("121", None), ("-1", None), ("> 89", None), ("90+", None),
        ("MAY-51", None), ("1 2", None), ("3 fortnights", None), ("Unknown", None), ("", None),
        ("71 M", None), ("71 F", None), ("71 m", 71 / 12),
        ("1" * 5000 + "!", None),
    ],
)  # fmt: skip
def test_the_unit_of_an_age_counts_and_nobody_is_too_old(text, years):
    assert parse_age(text) == (years if years is None else pytest.approx(years))


@pytest.mark.parametrize(
    "text", ["NA", "nan", "", " - ", "None", "unknown", "N/A", "NULL", "<NA>", "Anonymous"]
)
def test_who_is_unknown_is_no_person(text):
    assert parse_patient(text) is None


def test_a_patient_number_is_the_same_with_and_without_decimals():
    assert [parse_patient(text) for text in ("12", " 12.0", "007", "12.5")] == ["12", "12", "007", "12.5"]


@pytest.mark.parametrize("name", ["record", "leads", "units", "resample", "vcg"])
def test_what_an_ecg_is_does_not_depend_on_how_files_are_read(repo_dir, name):
    allowed = {"leads", "record", "units"}
    source = (repo_dir / "fairseq_signals" / "ecg" / f"{name}.py").read_text(encoding="utf-8")
    imported = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    ours = {module.rpartition("fairseq_signals.ecg.")[2] for module in imported if ".ecg." in str(module)}
    assert ours <= allowed
