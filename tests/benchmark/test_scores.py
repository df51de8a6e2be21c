"""Methods over patients and seeds: intervals and orders with known answers."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import t as student

from fairseq_signals.benchmark.critical_difference import cliques, critical_difference, rank_methods
from fairseq_signals.benchmark.scores import (
    Measured,
    Score,
    holm,
    mean_score,
    ranks,
    scores_of,
    seed_variance,
)
from fairseq_signals.evaluation.saved_results import SavedEvaluation
from fairseq_signals.metrics.bootstrap import intervals
from fairseq_signals.metrics.weighted import Areas
from tests.benchmark.made_up import outcome

#: Table 6 of Demsar 2006: AUC of C4.5 as it is, with m tuned, cf tuned, both. Of voting the last two are
#: printed alike but ranked apart; the mean ranks are those of the paper.
DEMSAR = """
.763 .768 .771 .798  .599 .591 .590 .569  .954 .971 .968 .967  .628 .661 .654 .657  .882 .888 .886 .898
.936 .931 .916 .931  .661 .668 .609 .685  .583 .583 .563 .625  .775 .838 .866 .875  1 1 1 1
.940 .962 .965 .962  .619 .666 .614 .669  .972 .981 .975 .9749  .957 .978 .946 .970"""
G = 200


def table() -> np.ndarray:
    return np.array(DEMSAR.split(), dtype=float).reshape(14, 4)


def score_of(x: np.ndarray, scale: str = "plain") -> Score:
    """The mean of a number of each patient, which has no bias."""
    return Score(scale, float(x.mean()), np.full(50, x.mean()), ((x - x.mean()) / len(x))[None], len(x))


def test_ranks_and_critical_differences_are_those_of_the_published_example():
    ranking = rank_methods(table())
    np.testing.assert_allclose(ranking.mean_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    ties = 78 / 840  # the paper's 9.28 is not corrected for them
    assert ranking.chi2 * (1 - ties) == pytest.approx(9.28, abs=0.005)
    assert ranking.difference == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)
    assert ranking.cliques == [[3, 1, 2, 0]]  # at 5 % nothing differs
    assert rank_methods(table(), 0.10).cliques == [[3, 1, 2], [2, 0]]


def test_cliques_are_the_largest_groups_within_the_difference():
    rng = np.random.default_rng(0)
    for _ in range(50):
        means = rng.uniform(1, 6, 6)
        order = np.argsort(means)
        runs = [order[i:j].tolist() for i, j in itertools.combinations(range(7), 2) if j - i > 1]
        near = [run for run in runs if means[run[-1]] - means[run[0]] < 1.5]
        largest = [run for run in near if not any(set(run) < set(other) for other in near)]
        assert cliques(means, 1.5) == largest


def test_the_highest_value_ranks_first_and_ties_share_their_rank():
    assert ranks(np.array([[0.9, 0.7, 0.9, 0.8]])).tolist() == [[1.5, 4, 1.5, 3]]


def test_holm_multiplies_by_the_number_of_hypotheses_that_are_left():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.02, math.nan])[0] == pytest.approx(0.04)


def test_one_seed_has_the_interval_that_an_evaluation_gives():
    saved = SavedEvaluation.of(outcome("af", "classification", 0.6, 1, ["12"], 40), "a")
    score = scores_of(saved, 0, 1000)["macro_auroc"]
    arrays = saved.arrays
    wanted = intervals([Areas(arrays["labels"], arrays["probabilities"][0], arrays["patient_ids"])])
    assert score.bounds == pytest.approx(wanted["macro_auroc"])
    assert Measured([score], 0).bounds == pytest.approx(wanted["macro_auroc"])


def test_variances_of_patients_and_seeds_add_up():
    """The closed form: t of Satterthwaite's degrees of freedom times the root of both."""
    rng = np.random.default_rng(1)
    people, offsets = rng.normal(size=G), np.array([0.0, 0.3, -0.1])
    seeds = [score_of(people + offset) for offset in offsets]
    measured = Measured(seeds, 0, seed_variance([seeds]))
    of_patients, of_seeds = people.var(ddof=1) / G, offsets.var(ddof=1) / 3
    u = people - people.mean()
    freedom = [1.5 * np.square(u).sum() ** 2 / np.power(u, 4).sum(), 2]
    both = of_patients + of_seeds
    t = student.ppf(0.975, both**2 / (of_patients**2 / freedom[0] + of_seeds**2 / freedom[1]))
    middle = people.mean() + offsets.mean()
    assert measured.value == pytest.approx(middle)
    assert measured.bounds == pytest.approx((middle - t * math.sqrt(both), middle + t * math.sqrt(both)))


def test_the_variance_between_seeds_is_pooled_over_methods_whose_seeds_differ():
    values = {"a": [0.1, 0.3], "b": [0.5, 0.5, 0.8], "not trained here": [0.7, 0.7], "one seed": [0.2]}
    methods = {name: [score_of(np.full(G, v)) for v in of] for name, of in values.items()}
    pooled = seed_variance(methods.values())
    assert pooled == pytest.approx(((2 * 0.1**2 + 2 * 0.1**2 + 0.2**2) / 3, 3))
    measured = {name: Measured(of, 0, pooled) for name, of in methods.items()}
    assert measured["not trained here"].bounds == pytest.approx((math.nan, math.nan), nan_ok=True)
    bounds = measured["a"].less(measured["b"]).difference.bounds
    half = student.ppf(0.975, 3) * math.sqrt(pooled.variance * (1 / 2 + 1 / 3))
    assert bounds.high - bounds.low == pytest.approx(2 * half)


def test_draws_of_seeds_vary_as_the_mean_of_seeds_does():
    values = np.array([0.7, 0.8])
    scores = [Score("plain", v, np.full(20_000, v), np.zeros((1, G)), G) for v in values]
    draws = Measured(scores, 3).draws
    assert draws.mean() == pytest.approx(0.75, abs=0.002)
    assert draws.var() == pytest.approx(values.var(ddof=1) / 2, rel=0.03)


def test_what_is_hard_for_both_cancels_out_in_a_pair():
    rng = np.random.default_rng(2)
    hard, own = rng.normal(size=G), rng.normal(size=(2, G)) / 10
    one, two = (Measured([score_of(hard + each)], i) for i, each in enumerate(own))
    pair = one.less(two)
    width = pair.difference.bounds.high - pair.difference.bounds.low
    assert width == pytest.approx(4 * np.std(own[0] - own[1]) / math.sqrt(G), rel=0.05)
    assert width < (one.bounds.high - one.bounds.low) / 5
    turned = two.less(one)
    assert turned.difference.value == -pair.difference.value
    assert turned.difference.p == pytest.approx(pair.difference.p)


def test_a_method_against_itself_is_not_decided():
    same = Measured([score_of(np.arange(G) % 2)], 0)
    pair = same.less(same)
    assert pair.difference == (0.0, (0.0, 0.0), 1.0)
    assert pair.share == 0.5


def test_the_share_of_draws_is_of_the_better_one_also_where_lower_is_better():
    low, high = (Measured([score_of(np.arange(G) % 2 + shift)], 0) for shift in (0, 1))
    assert low.less(high, lower_is_better=True).share == 1
    assert low.less(high).share == 0


def test_methods_that_are_alike_differ_in_a_twentieth_of_pairs():
    """Three methods of two seeds each, new patients and new seeds each time, both of which matter."""
    rng, found = np.random.default_rng(4), []
    for _ in range(600):
        hard = rng.normal(size=G)
        methods = [
            [score_of(hard + rng.normal(size=G) + rng.normal(0, 0.1)) for _ in range(2)] for _ in range(3)
        ]
        one, two, _ = (Measured(seeds, 0, seed_variance(methods)) for seeds in methods)
        found.append(one.less(two).difference.p)
    assert 0.015 < np.mean(np.array(found) < 0.05) < 0.06


def test_the_mean_over_lead_sets_is_of_values_draws_and_influences():
    people = np.random.default_rng(5).normal(size=(2, G))
    mean, direct = mean_score(list(map(score_of, people))), score_of(people.mean(axis=0))
    for ours, wanted in zip(mean[1:], direct[1:]):
        np.testing.assert_allclose(ours, wanted)
