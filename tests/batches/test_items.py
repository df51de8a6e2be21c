"""Pairs of segments of two records, or of one."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fairseq_signals.batches.items import pairs_of_patients, pairs_of_records, with_repeats

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


def test_each_record_comes_once_with_another_of_its_patient_or_itself():
    for i in range(50):
        pairs = pairs_of_records(np.arange(10), RECORD, PATIENT, np.random.default_rng(i))
        assert sorted(RECORD[pairs[:, 0]]) == [
            0,
            1,
            2,
            3,
            4,
        ]  # record 5 has one segment, and nobody beside it
        assert (PATIENT[pairs[:, 0]] == PATIENT[pairs[:, 1]]).all()
        assert (RECORD[pairs[:, 0]] != RECORD[pairs[:, 1]]).all()


def test_a_record_without_another_of_its_patient_is_paired_within():
    pairs = [pairs_of_records(np.arange(3, 6), RECORD, PATIENT, np.random.default_rng(i)) for i in range(60)]
    assert {tuple(sorted(found)) for (found,) in np.stack(pairs).tolist()} == {(3, 4), (3, 5), (4, 5)}


def test_partners_and_segments_of_records_come_alike():
    draws = [pairs_of_records(np.arange(10), RECORD, PATIENT, np.random.default_rng(i)) for i in range(3000)]
    found = np.concatenate(draws)
    partners = Counter(map(tuple, RECORD[found].tolist()))
    assert all(abs(partners[pair] - 1500) < 150 for pair in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)))
    assert partners[3, 4] == partners[4, 3] == 3000
    second = Counter(found[RECORD[found[:, 1]] == 2, 1].tolist())
    assert max(second.values()) < 1.15 * min(second.values())


def test_items_of_several_leads_come_as_often_as_is_asked():
    items, n_leads = np.array([[0, 1], [2, 3], [4, 5]]), np.array([1, 12, 3])
    assert Counter(with_repeats(items, n_leads, 3)[:, 0].tolist()) == {0: 1, 2: 3, 4: 3}
    assert with_repeats(items, n_leads, 1).tolist() == items.tolist()
