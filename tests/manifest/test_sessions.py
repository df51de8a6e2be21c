"""When recordings were taken, what lies between them, and which of them are compared."""

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from fairseq_signals.manifest.sessions import (
    GAPS,
    PROTOCOLS,
    acquired_texts,
    days_of,
    gap_between,
    parse_time,
)

NOON = datetime(2000, 2, 28, 12)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1984-11-09 09:17:34", datetime(1984, 11, 9, 9, 17, 34)),  # PTB-XL, MIMIC-IV-ECG
        ("2004-12-07", datetime(2004, 12, 7)),
        ("07.12.2004", datetime(2004, 12, 7)),  # ECG-ID
        ("28/02/1996", datetime(1996, 2, 28)),  # PTB
        ("2004-12-07T10:00:00+02:00", datetime(2004, 12, 7, 10)),
        *((text, None) for text in ("", None, "n/a", "31.02.2004", "2004", "07.13.2004")),
    ],
)
def test_the_forms_of_the_corpora_are_read(text, time):
    assert parse_time(text) == time


def test_the_first_attribute_that_tells_a_time_is_taken():
    attributes = [
        [("recording_date", "1"), ("other", "9")],
        [("ECG date", "2")],
        [("ecg_time", "3"), ("acquired", "4")],
        [("other", "5")],
        None,
    ]
    kind = pa.map_(pa.string(), pa.string())
    table = pa.table({"attributes": pa.chunked_array([pa.array(attributes, kind)])})
    assert acquired_texts(table).to_pylist() == ["1", "2", "4", None, None]


@pytest.mark.parametrize(
    ("days", "gap"),
    [
        (0, "same day"),
        (1, "<1 month"),
        (29, "<1 month"),
        (30, "<1 year"),
        (364, "<1 year"),
        (365, "1-5 years"),
        (1825, "1-5 years"),
        (1826, ">5 years"),
        (20000, ">5 years"),
    ],
)
def test_a_gap_is_of_one_bin(days, gap):
    later = NOON + timedelta(days=days)
    assert gap_between(later, [NOON]) == gap_between(NOON, [later]) == gap
    assert gap in GAPS


def test_a_gap_is_that_to_the_nearest_recording_whose_time_is_known():
    years = [NOON + timedelta(days=days) for days in (-3000, 100, 400)]
    assert gap_between(NOON, [*years, None]) == "<1 year"
    assert gap_between(NOON, [None]) == gap_between(None, years) == gap_between(NOON, []) == "unknown"


def test_hours_count_by_the_day():
    night = datetime(2000, 1, 1, 23, 59)
    assert gap_between(night, [night - timedelta(hours=20)]) == "same day"
    assert gap_between(night, [night + timedelta(minutes=2)]) == "<1 month"


def test_protocols_choose_by_the_day():
    times = {"e": NOON + timedelta(days=9, hours=1), "d": NOON + timedelta(days=9), "c": NOON}
    times |= {"b": NOON + timedelta(hours=1), "a": NOON, "f": NOON + timedelta(days=2)}
    days = days_of(times)
    assert days == [["a", "c", "b"], ["f"], ["d", "e"]]
    assert {name: choose(days) for name, choose in PROTOCOLS.items()} == {
        "first_vs_second": (["a"], ["f"]),
        "first_vs_last": (["a"], ["e"]),
        "all_vs_last": (["a", "c", "b", "f"], ["e"]),
    }
