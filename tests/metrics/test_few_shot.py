"""Episodes: nobody in both halves, one class each; accuracy of vectors that tell all or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.metrics.few_shot import PROBES, accuracy, episodes, nearest_mean

N = 300
CLASSES = np.random.default_rng(0).random((N, 8)) < 0.2
PATIENTS = np.array([f"p{i // 3}" for i in range(N)])


def draw(ways=4, shots=2, queries=3, n=50, seed=1):
    return list(episodes(CLASSES, PATIENTS, ways, shots, queries, n, seed))


def test_no_record_and_no_patient_is_in_both_halves():
    for one in draw():
        assert len(set(one.support)) == 8
        assert len(set(one.query)) == 12
        assert not set(PATIENTS[one.support]) & set(PATIENTS[one.query])


def test_records_have_the_class_they_stand_for_and_no_other_of_the_episode():
    for one in draw():
        chosen = set()
        for c in range(4):
            records = np.concatenate([one.support[one.support_class == c], one.query[one.query_class == c]])
            assert len(records) == 5
            (common,) = [
                k for k in np.flatnonzero(CLASSES[records].all(axis=0)) if CLASSES[one.query][:, k].sum() == 3
            ][:1]
            chosen.add(common)
        assert len(chosen) == 4


def test_the_same_seed_draws_the_same_and_another_others():
    first, second, other = draw(), draw(), draw(seed=2)
    assert all((a.support == b.support).all() and (a.query == b.query).all() for a, b in zip(first, second))
    assert any((a.support != b.support).any() for a, b in zip(first, other))


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("shots", [1, 3])
def test_vectors_that_are_the_class_are_told_always(probe, shots):
    labels = np.eye(6, dtype=bool)[np.arange(N) % 6]
    drawn = list(episodes(labels, np.arange(N), 5, shots, 2, 20, 1))
    assert accuracy(np.eye(6)[np.arange(N) % 6], drawn, probe) == (1.0, 0.0)


@pytest.mark.parametrize("probe", PROBES)
def test_vectors_of_chance_are_told_by_chance(probe):
    vectors = np.random.default_rng(2).normal(size=(N, 5))
    drawn = draw(n=150)
    mean, half = accuracy(vectors, drawn, probe)
    assert mean == pytest.approx(1 / 4, abs=3 * half / 1.96)
    assert half == pytest.approx(1.96 * (0.25 * 0.75 / 12 / 150) ** 0.5, rel=0.3)


def test_the_nearest_mean_is_by_angle_not_by_length():
    support, query = np.array([[1.0, 0.0], [0.0, 100.0]]), np.array([[5.0, 4.0], [0.1, 0.2]])
    assert nearest_mean(support, np.array([0, 1]), query).tolist() == [0, 1]


@pytest.mark.parametrize("asked", [{"ways": 9}, {"shots": 200}])
def test_more_than_there_is_is_refused(asked):
    with pytest.raises(ConfigError, match=r"no \d classes have \d+ examples and 3 queries each"):
        draw(**asked)
