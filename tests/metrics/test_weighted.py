"""Metrics by how often each patient counts, against scikit-learn and numerical derivatives."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from fairseq_signals.metrics.cinc2021 import challenge_score, score_terms
from fairseq_signals.metrics.weighted import Areas, OfSums, share

N, N_PATIENTS, C = 80, 30, 3


@pytest.fixture
def result():
    """Labels, scores with ties within and between outcomes, and the patient of each record."""
    rng = np.random.default_rng(0)
    labels = rng.random((N, C)) < 0.3
    scores = np.round(rng.normal(size=(N, C)) + labels, 1)
    return labels, scores, rng.permutation(np.arange(N) % N_PATIENTS)


def statistics(labels, scores, patients):
    predicted = scores > 0.5
    rewards = np.eye(C) + 0.3 * (1 - np.eye(C))
    terms = score_terms(labels, predicted, rewards, 1)
    squares = np.stack([scores[:, 0], scores[:, 0] ** 2, np.ones(N)], axis=1)
    return {
        "areas": Areas(labels, scores, patients),
        "f_measure": share("f_measure", 2 * (labels & predicted), labels.astype(int) + predicted, patients),
        "cinc_score": share("cinc_score", *terms, patients, scale="log loss"),
        "deviation": OfSums(
            "deviation", "log", squares, lambda sums: np.sqrt(sums[1:2] / sums[2] - (sums[:1] / sums[2]) ** 2)
        ),
    }


def ones(statistic):
    return np.ones((statistic.n_patients, 1))


def test_areas_of_a_resample_equal_those_of_scikit_learn(result):
    labels, scores, patients = result
    weights = np.random.default_rng(1).integers(0, 4, (N_PATIENTS, 20)).astype(float)
    weights[:, 0] = 1
    found = Areas(labels, scores, patients).values(weights)
    for r, of_items in enumerate(weights[patients].T):
        for metric, value in zip((roc_auc_score, average_precision_score), found[:, r]):
            by_class = [metric(labels[:, c], scores[:, c], sample_weight=of_items) for c in range(C)]
            assert value == pytest.approx(np.mean(by_class), abs=1e-12)


def test_a_weight_is_as_good_as_a_copy(result):
    labels, scores, patients = result
    twice = np.append(np.arange(N), np.flatnonzero(patients == 3))
    weights = np.where(np.arange(N_PATIENTS) == 3, 2.0, 1.0)[:, None]
    copied = Areas(labels[twice], scores[twice], np.arange(len(twice)))
    np.testing.assert_allclose(Areas(*result).values(weights), copied.values(ones(copied)), atol=1e-12)


def test_a_class_without_both_outcomes_in_a_resample_is_left_out_of_its_mean(result):
    labels, scores, patients = result
    labels[:, 0] = patients == 7
    weights = ones(Areas(*result))
    weights[7] = 0
    kept, first = patients != 7, slice(1, None)
    others = Areas(labels[kept, first], scores[kept, first], patients[kept])
    np.testing.assert_allclose(Areas(*result).values(weights), others.values(ones(others)), atol=1e-12)
    assert np.isnan(Areas(labels[:, :1], scores[:, :1], patients).values(weights)).all()
    assert np.isnan(Areas(labels[:, :1] & False, scores[:, :1]).values(np.ones((N, 1)))).all()


def test_shares_equal_the_metrics_that_they_are_of(result):
    labels, scores, _ = result
    found = statistics(*result)
    f_measure = f1_score(labels, scores > 0.5, average="macro")
    assert found["f_measure"].values(ones(found["f_measure"]))[0, 0] == pytest.approx(f_measure, abs=1e-12)
    score = challenge_score(labels, scores > 0.5, np.eye(C) + 0.3 * (1 - np.eye(C)), 1)
    assert found["cinc_score"].values(ones(found["cinc_score"]))[0, 0] == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("name", ["areas", "f_measure", "cinc_score", "deviation"])
def test_influences_are_derivatives(result, name):
    statistic = statistics(*result)[name]
    step = 1e-5 * np.eye(statistic.n_patients)
    slopes = (statistic.values(1 + step) - statistic.values(1 - step)) / 2e-5
    np.testing.assert_allclose(statistic.influence().sum(axis=1), slopes, atol=1e-9)


def test_a_sum_that_nothing_adds_to_is_not_carried_below_its_end():
    error = OfSums("rmse", "log", [[1.0, 4.0, 0.0]], lambda sums: np.sqrt(sums[1:] / sums[0]))
    np.testing.assert_allclose(error.influence()[0, 0], [0.0], atol=1e-9)


def test_shapes_that_do_not_fit_are_refused(result):
    labels, scores, patients = result
    with pytest.raises(ValueError, match="labels and scores must have one shape"):
        Areas(labels, scores[1:], patients)
    with pytest.raises(ValueError, match="there are 80 items, but patients of 79"):
        Areas(labels, scores, patients[1:])
