"""The outlier score of embeddings, and what tells how good it is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from fairseq_signals.metrics.bootstrap import intervals
from fairseq_signals.metrics.outlier import OutlierScore, radius
from fairseq_signals.metrics.unseen import OutlierArea, TakenForSeen

RNG = np.random.default_rng(0)
TRAIN, USUAL = RNG.normal(size=(2, 60, 4)) * [1, 2, 5, 0.1] + 3
#: Distances from the origin are lengths, and the usual ones are 1, 2, 3.
PLAIN = OutlierScore(np.zeros(4), np.eye(4), np.array([1.0, 2, 3]))


def test_the_radius_is_two_population_deviations_beyond_the_mean():
    assert radius([1, 2, 3]) == pytest.approx(3.632993, abs=1e-6)
    assert PLAIN.radius == radius([1, 2, 3])


def test_what_is_at_the_mean_is_like_the_others_and_what_is_beyond_the_radius_is_not():
    x = np.array([1.0, 0, 0, 0])
    at_mean, inside, outside = (PLAIN.of(d * x) for d in (0, PLAIN.radius - 1e-6, PLAIN.radius + 1e-6))
    assert at_mean == (0, 0, False)
    assert (inside.quantile, inside.is_unlike) == (1, False)
    assert (outside.quantile, outside.is_unlike) == (1, True)
    assert PLAIN.of(2.5 * x) == (2 / 3, 2.5, False)


def test_the_distance_is_mahalanobis_with_a_shrunk_covariance():
    score, found = OutlierScore.fit(TRAIN, USUAL), LedoitWolf().fit(TRAIN)
    expected = [mahalanobis(x, found.location_, found.precision_) for x in USUAL]
    np.testing.assert_allclose(score.distance(USUAL), expected, rtol=1e-5)
    np.testing.assert_allclose(score.usual, np.sort(expected), rtol=1e-5)
    assert [a.dtype for a in (score.mean, score.whitening, score.usual)] == [np.float32] * 3


@pytest.mark.parametrize("factor", [1e-3, 1000.0])
def test_scaling_the_space_changes_neither_distances_nor_quantiles(factor):
    score, scaled = OutlierScore.fit(TRAIN, USUAL), OutlierScore.fit(factor * TRAIN, factor * USUAL)
    x = RNG.normal(size=(9, 4)) * 5
    distance = score.distance(x)
    np.testing.assert_allclose(scaled.distance(factor * x), distance, rtol=1e-4)
    np.testing.assert_allclose(scaled.quantile(scaled.distance(factor * x)), score.quantile(distance))


def test_where_the_covariance_stays_distances_and_the_radius_scale_and_quantiles_do_not():
    score = replace(PLAIN, usual=3 * PLAIN.usual)
    assert score.radius == pytest.approx(3 * PLAIN.radius)
    assert score.of([0, 7.5, 0, 0]) == (2 / 3, 7.5, False)


@pytest.mark.parametrize("n", [1, 5])
def test_embeddings_that_do_not_differ_make_no_score(n):
    with pytest.raises(ValueError, match=f"the embeddings of {n} training records do not differ"):
        OutlierScore.fit(np.ones((n, 4)), USUAL)


def test_the_share_taken_for_seen_is_that_within_the_distance_of_95_percent_of_the_seen():
    seen, unseen = np.arange(1.0, 21), np.array([0.5, 19.0, 19.5, 30.0])
    statistic = TakenForSeen(np.r_[seen, unseen], np.repeat([False, True], [20, 4]))
    assert statistic.values(np.ones((24, 1))).tolist() == [[0.5]]


def test_a_patient_who_is_drawn_twice_counts_as_two():
    distances, unseen = RNG.normal(size=30), RNG.random(30) < 0.4
    patients, weights = RNG.integers(10, size=30), RNG.integers(3, size=10)
    times = weights[patients]
    again = TakenForSeen(np.repeat(distances, times), np.repeat(unseen, times))
    found = TakenForSeen(distances, unseen, patients).values(weights[:, None].astype(float))
    assert found[0, 0] == pytest.approx(again.values(np.ones((again.n_patients, 1)))[0, 0])


def test_both_metrics_have_intervals_by_patient():
    unseen = np.arange(300) < 60
    distances = RNG.normal(size=300) + 1.5 * unseen
    of = distances, unseen, np.arange(300) // 2
    found = intervals([OutlierArea(*of), TakenForSeen(*of)], 100)
    area, taken = (found[name] for name in ("outlier_auroc", "outlier_fpr95"))
    assert area.low < roc_auc_score(unseen, distances) < area.high < area.low + 0.2
    assert 0 < taken.low < TakenForSeen(*of).values(np.ones((150, 1)))[0, 0] < taken.high < taken.low + 0.5


def test_the_interval_of_a_perfect_score_ends_at_what_so_few_patients_allow():
    found = intervals([TakenForSeen(np.arange(50.0), np.arange(50) >= 40)], 20)["outlier_fpr95"]
    assert found.low == 0
    assert found.high == pytest.approx(1 - 0.025**0.1)
