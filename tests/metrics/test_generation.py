"""Scores of made ECGs: closed forms, sets that are alike, and sets that are far from each other."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.metrics.generation import (
    feature_distance,
    interval_errors,
    lead_residuals,
    made_for_real_auroc,
    nearest_distances,
    precision_recall,
)

RNG = np.random.default_rng(0)


def test_in_one_dimension_the_distance_is_that_of_means_and_of_deviations():
    a, b = RNG.normal(1, 2, (50, 1)), RNG.normal(-3, 0.5, (70, 1))
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert feature_distance(a, b) == pytest.approx(expected)


def test_of_covariances_with_common_axes_the_distance_is_that_of_their_roots():
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    base = np.concatenate([np.eye(3), -np.eye(3)]) * np.sqrt(5 / 2)  # covariance 1, mean 0
    a, b = base * [1, 2, 3] @ turn, base * [2, 2, 0.5] @ turn
    assert feature_distance(a, b) == pytest.approx(1 + 0 + 2.5**2)


def test_a_shift_costs_its_square_and_the_same_set_nothing():
    a, shift = RNG.normal(size=(40, 5)), np.array([1, -2, 0, 0.5, 3])
    assert feature_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert feature_distance(a, a + shift) == pytest.approx((shift**2).sum())


def test_too_few_rows_are_told():
    with pytest.warns(UserWarning, match="4 rows of 5 features"):
        feature_distance(RNG.normal(size=(4, 5)), RNG.normal(size=(40, 5)))


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((5,), (5, 1)), ((1, 2), (5, 2))])
def test_sets_that_cannot_be_compared_are_refused(shapes):
    with pytest.raises(ValueError, match="features must be"):
        feature_distance(*map(np.zeros, shapes))


def test_the_condition_among_features_tells_whether_they_go_together():
    labels = np.eye(2)[RNG.integers(0, 2, 400)]
    features = 2 * labels @ RNG.normal(size=(2, 4)) + RNG.normal(size=(400, 4))
    one, other = features[:200], features[200:]
    together = feature_distance(np.hstack([one, labels[:200]]), np.hstack([other, labels[200:]]))
    shuffled = feature_distance(np.hstack([one, labels[:200]]), np.hstack([other, labels[200:][::-1]]))
    assert shuffled > 2 * together
    assert feature_distance(one, other) == pytest.approx(feature_distance(one, other[::-1]))


def test_a_set_is_wholly_within_itself_and_far_sets_share_nothing():
    a = RNG.normal(size=(30, 3))
    assert precision_recall(a, a) == (1, 1)
    assert precision_recall(a, a + 100) == (0, 0)


def test_half_far_is_half_the_precision_and_recall_knows_what_is_never_made():
    a = RNG.normal(size=(30, 3))
    assert precision_recall(a, np.concatenate([a, a + 100]))[0] == 0.5
    assert precision_recall(np.concatenate([a, a + 100]), a) == (1, 0.5)


def test_no_row_has_more_neighbours_than_there_are():
    with pytest.raises(ValueError, match="4 rows each"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))


def test_what_is_learnt_by_heart_has_no_distance():
    train = RNG.normal(size=(20, 3))
    assert nearest_distances(train[3:5], train).tolist() == [0, 0]
    assert nearest_distances(np.array([[0.0, 3]]), np.array([[4.0, 0], [9, 9]])).tolist() == [5]


def test_who_learns_from_real_ecgs_knows_real_ones_and_who_learns_from_shuffled_ones_nothing():
    labels = RNG.random((600, 3)) < [0.5, 0.2, 0.3]
    features = labels @ (3 * RNG.normal(size=(3, 8))) + RNG.normal(size=(600, 8))
    made, real = slice(0, 300), slice(300, 600)
    told = made_for_real_auroc(features[made], labels[made], features[real], labels[real])
    assert told.min() > 0.95
    none = [
        made_for_real_auroc(features[made], RNG.permutation(labels[made]), features[real], labels[real])
        for _ in range(10)
    ]
    assert np.mean(none) == pytest.approx(0.5, abs=0.1)


def test_a_class_that_is_never_made_has_no_auroc():
    labels = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    features = RNG.normal(size=(4, 2))
    found = made_for_real_auroc(features, labels, features, 1 - labels)
    assert np.isnan(found).tolist() == [False, True]


def test_limb_leads_of_electrodes_have_no_residual_and_those_that_were_tampered_with_theirs():
    ra, la, ll = RNG.normal(size=(3, 2, 500))
    ecg = np.zeros((2, 12, 500), np.float32)
    limb = {"I": la - ra, "II": ll - ra, "III": ll - la}
    limb |= {"aVR": ra - (la + ll) / 2, "aVL": la - (ra + ll) / 2, "aVF": ll - (ra + la) / 2}
    for name, lead in limb.items():
        ecg[:, LEADS.index(name)] = lead
    np.testing.assert_allclose(lead_residuals(ecg), 0, atol=1e-6)
    ecg[1, LEADS.index("III")] += 0.2
    ecg[1, LEADS.index("aVL")] -= 0.3
    np.testing.assert_allclose(lead_residuals(ecg), [[0, 0], [0.2, 0.3]], atol=1e-6)


def test_errors_of_intervals_are_of_those_that_can_be_measured_and_say_how_many_that_are():
    wanted = np.array([60, 80, 100, np.nan, 70])
    measured = np.array([61, 77, np.nan, 50, 70])
    assert interval_errors(wanted, measured) == (1, 0.75)
    assert interval_errors(wanted[2:4], measured[2:4])[1] == 0
