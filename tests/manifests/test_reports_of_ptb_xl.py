"""`manifests/ecg_text.py` on the reports of PTB-XL, of which nothing of the annotators may be left."""

import ast
import csv
import re

import pytest

from fairseq_signals.manifest.texts import read_texts
from fairseq_signals.text.cleaning import Cleaner


@pytest.fixture(scope="module")
def real_reports(shared_dir):
    """The codes of PTB-XL and, by record, its reports."""
    table = next(iter(sorted(shared_dir.glob("real_ecg/*/ptbxl_database.csv"))), None)
    if table is None:
        pytest.skip("no PTB-XL with its reports in the shared data")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    codes = {code for row in rows for code in ast.literal_eval(row["scp_codes"])}
    return sorted(codes), {row["ecg_id"]: row["report"] for row in rows}


@pytest.mark.shared
def test_no_label_is_left_in_the_reports_of_ptb_xl(real_reports, make_store, succeed, tmp_path):
    codes, reports = real_reports
    records = [(name, {"report": report, "codes": tuple(codes)}) for name, report in reports.items()]
    succeed("ecg_text", make_store("s", records))
    kept = "\n".join(read_texts(tmp_path / "m" / "texts.tsv").texts)
    assert not re.search(rf"\b({'|'.join(map(re.escape, codes))}) \d", kept, re.IGNORECASE)
    assert not re.search(r"edit|ekg|#|\*\*|ó|trace only", kept)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ("remarks of editors", r"edit\s*:"),
        ("EKG", r"\bekg\b"),
        ("damaged characters", "ó"),
        ("damaged umlauts", "#"),
    ],
)
def test_every_report_of_ptb_xl_that_has_it_is_cleaned_of_it(real_reports, rule, pattern):
    codes, reports = real_reports
    cleaner = Cleaner(codes)
    for report in reports.values():
        text, found = cleaner.clean(report)
        assert bool(re.search(pattern, report, re.IGNORECASE)) == (rule in {name for name, _ in found})
        assert cleaner.clean(text) == (text, [])
