"""Findings in reports, by phrases."""

import ast
import re

import numpy as np
import pytest

from fairseq_signals.errors import LabelError
from fairseq_signals.store.csv_table import read_rows
from fairseq_signals.synthetic.reports import WORDINGS
from fairseq_signals.text.findings import Findings, read_findings

FINDINGS = read_findings()


@pytest.mark.parametrize(
    ("report", "found"),
    [
        ("Sinus rhythm. Right bundle branch block.", {"NSR", "RBBB"}),
        ("sinus rhythm. incomplete  right-bundle\nbranch block", {"NSR"}),  # a line ends a statement
        ("sinus rhythm. incomplete right-bundle branch block", {"NSR", "IRBBB"}),
        ("sinusrhythmus unvollstÄndiger rechtsschenkelblock sonst normales ekg", {"NSR", "IRBBB"}),
        ("fÖrmaksflimmer/-fladder hÖger el-axel", {"AF", "RAD"}),
        ("sinus bradycardia with sinus arrhythmia", {"SB", "SA"}),
        ("supraventrikulÄre extrasystole(n) sinusrhythmus", {"PAC", "NSR"}),
        ("ventricular premature beats, T waves are inverted", {"PVC", "TInv"}),
        ("atrial flutter, no sinus rhythm", {"AFL"}),
        ("no evidence of atrial fibrillation", set()),
        ("no definite pathology; sinus rhythm", {"NSR"}),  # a denial ends with its statement
        ("compared with tracing of 23:9:91, rhythm was  previously atrial flutter", set()),
        ("sinus rhythm normal ecg ergo ob kein neg t", {"NSR"}),
        ("possible left bundle branch block", {"LBBB"}),
        ("trace only requested.", set()),
        ("", set()),
    ],
)
def test_a_report_has_the_findings_that_it_states(report, found):
    assert FINDINGS.find(report) == found


@pytest.mark.parametrize("wording", WORDINGS)
def test_synthetic_reports_tell_their_classes_in_either_wording(wording):
    for name, phrases in WORDINGS[wording].items():
        for phrase in phrases:
            told = FINDINGS.find(phrase.format(rate=70, pr=240, axis=-45))
            assert told == {name} & set(FINDINGS.names), phrase


def test_the_longest_phrase_at_a_place_counts_and_none_within_it():
    findings = Findings({"short": ["block"], "long": ["right block"], "longest": ["right block of"]})
    assert findings.find("right block") == {"long"}
    assert findings.find("a right block ofthem. block") == {"short", "long"}
    assert findings.find("right block of") == {"longest"}
    assert findings.find("blocks") == set()


def test_a_star_stands_for_all_endings():
    findings = Findings({"a": ["extrasystol*"]})
    assert [bool(findings.find(text)) for text in ("Extrasystolen", "extrasystol", "extrasyst")] == [1, 1, 0]


def test_a_table_has_a_row_a_report_and_a_column_a_finding():
    findings = Findings({"a": ["x"], "b": ["y", "z"]})
    assert findings.table(["x z", "y", "no x"]).tolist() == [[True, True], [False, True], [False, False]]
    assert findings.table([]).shape == (0, 2)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["a,x", "a,y"], r"f\.csv:3: finding 'a' has a line already"),
        (["a,x", "b,X"], "phrase 'X' is of two findings: a and b"),
        (["a,x|.*"], "phrase '.*' has no word"),
        ([], "there are no findings"),
    ],
)
def test_a_table_at_fault_is_refused_by_its_place(tmp_path, lines, fault):
    (tmp_path / "f.csv").write_text("\n".join(["finding,phrases", *lines]) + "\n")
    with pytest.raises(LabelError, match=fault):
        read_findings(tmp_path / "f.csv")


@pytest.mark.shared
def test_reports_of_ptb_xl_are_read_as_those_who_coded_them_did(shared_dir):
    tables = sorted(shared_dir.rglob("ptbxl_database.csv"))
    if not tables:
        pytest.skip(f"no ptbxl_database.csv in {shared_dir}")
    codes = {"SR": "NSR", "SBRAD": "SB", "STACH": "STach", "SARRH": "SA", "AFIB": "AF", "CLBBB": "LBBB",
             "CRBBB": "RBBB", "1AVB": "IAVB", "PVC": "PVC", "PAC": "PAC", "LVOLT": "LQRSV"}  # fmt: skip
    rows = list(read_rows(tables[0], ["report", "scp_codes"]))
    found = FINDINGS.table([re.sub(r"Edit:.*", "", row.cells["report"]) for row in rows])
    coded = [[codes.get(code) for code in ast.literal_eval(row.cells["scp_codes"])] for row in rows]
    truth = np.array([[name in each for name in FINDINGS.names] for each in coded])
    for name in codes.values():
        of = FINDINGS.names.index(name)
        assert (found & truth)[:, of].sum() >= 0.7 * truth[:, of].sum(), name
        # statements are missing where a second reader corrected the report
        assert (found & ~truth)[:, of].sum() <= 0.03 * len(rows), name
