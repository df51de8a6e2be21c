"""Each rule of cleaning by itself, on reports made up after those of PTB-XL and MIMIC-IV-ECG."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.text.cleaning import BETWEEN_LINES, RULES, Cleaner, lines_of

TABLE = [
    ("remarks of editors", "sinus rhythm. normal ecg. Edit: NORM 100, (NDT)", "sinus rhythm. normal ecg"),
    ("remarks of editors", "pacemaker. (EDIT : PACE 100)\nLVH 50", "pacemaker"),
    ("marks", "*** Sinus rhythm ***; --- Normal ECG ---", "Sinus rhythm; Normal ECG"),
    ("marks", "Sinus rhythm =- Normal ECG", "Sinus rhythm Normal ECG"),
    ("damaged characters", "sinusrytm ó½  ó¬ inferior ischemi", "sinusrytm inferior ischemi"),
    ("damaged umlauts", "kriterien f#r r-s #bergang", "kriterien für r-s übergang"),
    ("idle phrases", "sinus rhythm. trace only requested.", "sinus rhythm"),
    ("unsuitable leads", "Sinus rhythm; Lead(s) unsuitable for analysis: V1, V2; PACs", "Sinus rhythm; PACs"),
    ("unsuitable leads", "Some leads not suitable for analysis; Sinus rhythm", "Sinus rhythm"),
    ("idle phrases", "sinusrhythmus 4.46 unbestÄtigter bericht", "sinusrhythmus"),
    ("idle phrases", "Warning: Data quality may affect interpretation; Sinus rhythm", "Sinus rhythm"),
    ("EKG", "normales ekg, path.EKG; ekgs", "normales ECG, path.ECG; ekgs"),
]


@pytest.mark.parametrize(("rule", "report", "text"), TABLE)
def test_a_rule_cleans_what_it_is_for_says_so_and_leaves_the_rest(rule, report, text):
    cleaned, found = Cleaner().clean(report)
    assert cleaned == text
    assert {name for name, _ in found} == {rule}
    assert Cleaner().clean(cleaned)[0] == cleaned


def test_every_rule_is_in_the_table_above():
    assert {rule for rule, _, _ in TABLE} == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    "report",
    [
        "sinus rhythm. q waves in ii, iii, avf",
        "a-v block i; st-t sänkning v4-v6; QT 440 ms",
        "edited by hand",
        "non-specific t waves",
    ],
)
def test_what_is_about_the_heart_stays_as_it_is(report):
    assert Cleaner(["NORM", "LVH", "426783006"]).clean(report) == (report, [])


def test_blanks_empty_lines_and_marks_at_their_ends_go_without_being_counted():
    report = "  Sinus   rhythm. ;;\n Normal\tECG ., "
    assert Cleaner().clean(report) == ("Sinus rhythm; Normal ECG", [])


@pytest.mark.parametrize("report", ["", " ; ", "*** ---", "trace only requested.", "Edit: NORM 100"])
def test_nothing_is_left_of_a_report_that_says_nothing(report):
    assert Cleaner().clean(report)[0] == ""


def test_a_long_report_takes_no_longer_than_its_length():
    report = "sinus rhythm " * 20_000
    began = time.process_time()
    assert Cleaner(["NORM"]).clean(report)[1] == []
    assert time.process_time() - began < 1


PARTS = [*(report for _, report, _ in TABLE), "sinus", " ", "#", "-", "=", "*", "ó½", ";", "edit", ":"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS)))
def test_what_is_clean_stays_as_it_is(parts):
    text, _ = Cleaner(["NORM"]).clean(" ".join(parts))
    assert Cleaner(["NORM"]).clean(text) == (text, [])


def test_lines_that_preprocessing_joined_can_be_told_apart_again():
    lines = ["Sinus rhythm", "Left axis deviation", "Borderline ECG"]
    assert lines_of(Cleaner().clean(BETWEEN_LINES.join(lines))[0]) == lines


def test_a_code_of_the_corpus_with_a_likelihood_is_a_label_and_no_report():
    cleaner = Cleaner(["NORM", "STD_", "A", "426783006"])
    text, found = cleaner.clean("sinus rhythm (NORM 100) and STD_ 50.0% in V2; A 2; norm 100; ABNORM 3")
    assert text == "sinus rhythm and in V2; A 2; norm 100; ABNORM 3"
    assert found == [("labels with a likelihood", "(NORM 100)"), ("labels with a likelihood", "STD_ 50.0%")]


def test_of_a_glossary_the_longest_phrase_counts_and_words_are_whole():
    glossary = {"normales ecg": "normal ecg", "Sonst normales ecg": "otherwise normal ecg", "vänster": "left"}
    text, found = Cleaner(glossary=glossary).clean("sonst normales EKG; VÄNSTER el-axel; vänsterskänkelblock")
    assert text == "otherwise normal ecg; left el-axel; vänsterskänkelblock"
    assert [name for name, _ in found] == ["EKG", "glossary", "glossary"]
