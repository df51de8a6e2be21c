"""Corpora that were published at another amplitude than they were recorded at."""

import numpy as np
import pytest

from fairseq_signals.ecg.record import Subject
from fairseq_signals.formats.published import NOTE, is_doubled
from fairseq_signals.formats.wfdb import read_wfdb


@pytest.mark.parametrize(
    ("fs", "said", "doubled"),
    [
        (400, {"Source": "CODE-15%"}, True),
        (500, {"source": "SaMi-Trop"}, True),
        (400, {"Source": "CODE 15 %"}, True),
        (400, {"Source": "Sami_Trop"}, True),
        (400, {"Source": "CODE-II"}, False),
        (400, {"Exam ID": "1", "Chagas label": "False"}, True),
        (400, {"Exam ID": "1", "Chagas label": "False", "Source": "PTB-XL"}, False),
        (500, {"Exam ID": "1", "Chagas label": "False"}, False),
        (400, {"Chagas label": "False"}, False),
        (400, {}, False),
    ],
)
def test_a_header_says_whether_its_corpus_was_published_doubled(fs, said, doubled):
    assert is_doubled(fs, Subject(other=tuple(said.items()))) == doubled


@pytest.mark.parametrize(("source", "factor"), [("CODE-15%", 0.5), ("PTB-XL", 1.0)])
def test_samples_of_such_a_record_are_halved_and_it_says_so(tmp_path, write_wfdb, ecg_adu, source, factor):
    adu = ecg_adu(2)
    header = write_wfdb(tmp_path, "r", adu, ["I", "II"])
    header.write_text(f"{header.read_text()}# Chagas label: False\n# Source: {source}\n")
    record = read_wfdb(header)
    np.testing.assert_allclose(record.signal_mv(), adu / 1000 * factor)
    assert record.amplitude_factor == factor
    assert record.notes == ((NOTE,) if factor != 1 else ())
