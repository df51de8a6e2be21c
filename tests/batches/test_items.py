"""Pairs of segments of two records of a patient."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fairseq_signals.batches.items import pairs_of_patients

#: Of each segment its record and its patient: patient 0 has three records, 1 two, 2 one.
RECORD = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5])
PATIENT = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])


def draws(n: int) -> list[np.ndarray]:
    return [pairs_of_patients(np.arange(10), RECORD, PATIENT, np.random.default_rng(i)) for i in range(n)]


def test_pairs_are_of_two_records_of_one_patient():
    for pairs in draws(50):
        assert PATIENT[pairs].tolist() == [[0, 0], [1, 1]]
        assert (RECORD[pairs[:, 0]] != RECORD[pairs[:, 1]]).all()


def test_all_pairs_of_records_and_all_segments_come_alike():
    found = np.stack([pairs[0] for pairs in draws(6000)])
    pairs = Counter(map(tuple, RECORD[found].tolist()))
    assert len(pairs) == 6
    assert max(abs(count - 1000) for count in pairs.values()) < 130
    of_record_2 = Counter(found[RECORD[found] == 2].tolist())
    assert max(of_record_2.values()) < 1.12 * min(of_record_2.values())


def test_segments_that_may_not_be_used_are_not():
    pairs = pairs_of_patients(np.array([0, 1, 6, 7]), RECORD, PATIENT, np.random.default_rng(0))
    assert PATIENT[pairs].tolist() == [[1, 1]]
