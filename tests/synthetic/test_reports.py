"""Reports of synthetic records: true to the record, in two wordings of one vocabulary, with known flaws."""

import re
from collections import Counter

import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.synthetic.config import SNOMED_CODES, CorpusConfig
from fairseq_signals.synthetic.record import make_record
from fairseq_signals.synthetic.reports import (
    TRAINING,
    UNSEEN,
    WORDING_OF,
    label_table,
    measured,
    prompts,
    report_of,
    split_of,
)
from fairseq_signals.text.cleaning import Cleaner, lines_of

CONFIG = CorpusConfig(patients=120, seed=3, duration_s=5, fs=100)


def words(phrases):
    """All words of phrases, without numbers."""
    return set(re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "", " ".join(phrases))))


def finding_of(line, wording):
    """The finding that a line was written for."""
    patterns = {
        re.sub(r"\\{\w+\\}", r"-?\\d+", re.escape(text)): name
        for name, phrases in wording.items()
        for text in phrases
    }
    (found,) = {name for pattern, name in patterns.items() if re.fullmatch(pattern, line)}
    return found


@pytest.fixture(scope="module")
def records():
    return [make_record(CONFIG, patient, 0) for patient in range(CONFIG.patients)]


@pytest.mark.parametrize(("name", "wording"), [("training", TRAINING), ("unseen", UNSEEN)])
def test_a_report_tells_the_classes_of_its_record_and_no_other_rhythm_first(records, name, wording):
    for record in records:
        text = Cleaner().clean(report_of(record, CONFIG, name))[0].lower()
        first, *others, summary = [finding_of(line, wording) for line in lines_of(text)]
        assert first == record.classes[0]
        assert set(others) - {"rate"} == set(record.classes[1:])
        assert summary == ("normal" if record.classes == ("NSR",) else "abnormal")


def test_no_line_of_unseen_wording_is_or_holds_one_of_training_but_its_words_are_known():
    seen = [text for phrases in TRAINING.values() for text in phrases]
    for text in (text for phrases in UNSEEN.values() for text in phrases):
        assert not [known for known in seen if re.search(rf"\b{re.escape(known)}\b", text)]
        assert words([text]) <= words(seen), text
    assert set(UNSEEN) == set(TRAINING) == {*SNOMED_CODES, "normal", "abnormal", "rate"}


def test_unseen_wordings_of_a_finding_share_a_word_with_those_of_training():
    common = words(TRAINING["rate"] + TRAINING["normal"] + ("the of to in at a with is",))
    for name in SNOMED_CODES:
        for text in UNSEEN[name]:
            assert (words([text]) & words(TRAINING[name])) - common, text


def test_numbers_are_those_of_the_record(records):
    for record in records:
        numbers = measured(record)
        first, *_, last = record.beats.time_s
        assert numbers["rate"] == round(60 * (len(record.beats.time_s) - 1) / (last - first))
        assert ("IAVB" in record.classes) <= (numbers["pr"] > 200)
        assert ("LAD" in record.classes) <= (numbers["axis"] < -30)
        assert ("RAD" in record.classes) <= (numbers["axis"] > 90)
        told = re.search(r"rate (\d+)", report_of(record, CONFIG, "training"), re.IGNORECASE)
        assert told is None or int(told[1]) == numbers["rate"]


def test_a_report_is_always_the_same_and_orders_and_phrases_differ(records):
    texts = [report_of(record, CONFIG, "training") for record in records]
    assert texts == [report_of(record, CONFIG, "training") for record in records]
    assert len(set(texts)) > 80


def test_flaws_are_rare_and_cleaning_takes_them_away(records):
    flaws = {"Edit:": 0, "***": 0, "unsuitable": 0}
    for record in records:
        text = report_of(record, CONFIG, "training")
        flaws = {flaw: n + (flaw in text) for flaw, n in flaws.items()}
        assert not re.search(r"edit|\*|unsuitable|100, ", Cleaner().clean(text)[0], re.IGNORECASE)
    assert all(0 < n < 20 for n in flaws.values()), flaws


def test_of_each_ten_patients_two_are_for_tests_and_one_to_validate():
    for seed in range(3):
        found = [split_of(CorpusConfig(seed=seed), patient) for patient in range(50)]
        for block in range(0, 50, 10):
            assert Counter(found[block : block + 10]) == {"train": 7, "test": 2, "valid": 1}
    assert len({tuple(found[block : block + 10]) for block in range(0, 50, 10)}) > 1
    assert set(found) == set(WORDING_OF)


def test_prompts_and_names_of_classes_are_in_the_unseen_wording():
    assert prompts()[:2] == [("NSR", "sinus rhythm"), ("NSR", "sinus rhythm, regular rate")]
    assert {name for name, _ in prompts()} == set(SNOMED_CODES)
    assert all(text in UNSEEN[name] for name, text in prompts())
    assert label_table()[7] == (7, "right bundle branch block", "RBBB", SNOMED_CODES["RBBB"])


def test_another_wording_is_refused(records):
    with pytest.raises(ConfigError, match="wording must be one of training, unseen, but is 'mine'"):
        report_of(records[0], CONFIG, "mine")
