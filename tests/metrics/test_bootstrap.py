"""Confidence intervals over patients: what is known of them in closed form, and how often they are right."""

import runpy
import time

import numpy as np
import pytest
from scipy.stats import norm

from fairseq_signals.metrics import bootstrap
from fairseq_signals.metrics.bootstrap import differences, intervals, resampled
from fairseq_signals.metrics.weighted import Areas, OfSums, share


def binormal(n, seed, shift=1.5, prevalence=0.3):
    rng = np.random.default_rng(seed)
    labels = rng.random((n, 1)) < prevalence
    return labels, rng.normal(size=(n, 1)) + shift * labels


def test_the_interval_of_a_mean_is_that_of_student():
    """On a plain scale, without bias: the mean, and t times the standard error."""
    values = np.random.default_rng(0).normal(3, 2, 4000)
    columns = np.stack([values, np.ones(4000)], axis=1)
    found = intervals([OfSums("mean", "plain", columns, lambda sums: sums[:1] / sums[1])])["mean"]
    half = norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(4000)
    np.testing.assert_allclose(found, (values.mean() - half, values.mean() + half), atol=0.1 * half)


def test_an_interval_by_patient_is_wider_than_by_record_where_records_are_alike():
    """Each record eight times: by record the interval is too narrow by the root of 8."""
    labels, scores = (np.repeat(each, 8, axis=0) for each in binormal(300, 1))
    by_patient, by_record = (
        intervals([Areas(labels, scores, who)])["macro_auroc"] for who in (np.arange(2400) // 8, None)
    )
    widths = [interval.high - interval.low for interval in (by_patient, by_record)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(8), rel=0.1)


def test_the_same_seed_draws_the_same_and_all_statistics_of_one_call_share_the_draws(monkeypatch):
    areas = Areas(*binormal(100, 2))
    first, twin = resampled([areas, areas], 120, seed=5)
    np.testing.assert_array_equal(first, twin)
    np.testing.assert_array_equal(first, resampled([areas], 120, seed=5)[0])
    assert (first != resampled([areas], 120, seed=6)[0]).any()
    monkeypatch.setattr(bootstrap, "CHUNK", 7)
    np.testing.assert_allclose(first, resampled([areas], 120, seed=5)[0], rtol=1e-12)


def test_perfect_and_worthless_results_have_binomial_bounds():
    """None of n patients with the rarer outcome contradicts: at the bound that has a chance of 2.5 %."""
    labels = np.arange(50)[:, None] < 10
    perfect = intervals([Areas(labels, labels * 1.0), share("accuracy", np.ones(50), np.ones(50))])
    assert perfect["macro_auroc"] == pytest.approx((0.025 ** (1 / 10), 1))
    assert perfect["accuracy"] == pytest.approx((0.025 ** (1 / 50), 1))
    worthless = intervals([Areas(labels, labels * -1.0)])["macro_auroc"]
    assert worthless == pytest.approx((0, 1 - 0.025 ** (1 / 10)))


def test_what_is_not_defined_has_no_interval():
    nothing = Areas(np.zeros((20, 1)), np.arange(20)[:, None])
    assert np.isnan(intervals([nothing])["macro_auroc"]).all()
    one_patient = Areas(*binormal(20, 0), np.zeros(20))
    assert np.isnan(intervals([one_patient])["macro_auroc"]).all()


def test_a_metric_that_no_patient_moves_has_no_interval_instead_of_one_without_width():
    """A mean over a class of AUROC 1 and one of 0 says little of two patients, however sure it looks."""
    labels = np.array([[True, False], [False, True]])
    assert np.isnan(intervals([Areas(labels, labels * np.array([1.0, -1.0]))])["macro_auroc"]).all()


def test_the_better_of_two_models_is_told_and_equal_ones_differ_by_nothing():
    labels, scores = binormal(500, 3)
    noisy = scores + np.random.default_rng(4).normal(size=scores.shape)
    found = differences([Areas(labels, scores)], [Areas(labels, noisy)])["macro_auroc"]
    assert found.bounds.low > 0
    assert found.p < 0.01
    turned = differences([Areas(labels, noisy)], [Areas(labels, scores)])["macro_auroc"]
    np.testing.assert_allclose(
        [turned.value, *turned.bounds], [-found.value, -found.bounds.high, -found.bounds.low]
    )
    same = differences([Areas(labels, scores)], [Areas(labels, 2 * scores)])["macro_auroc"]
    assert (same.value, same.bounds, same.p) == (0, (0, 0), 1)


def test_p_values_of_models_that_are_alike_are_below_5_percent_in_5_percent():
    """Two noisy readings of one score: 300 repetitions, five records a patient."""
    rejected = []
    for seed in range(300):
        labels, scores = binormal(200, seed)
        noise = np.random.default_rng([9, seed]).normal(size=(2, 200, 1))
        one, other = (Areas(labels, scores + part, np.arange(200) // 5) for part in noise)
        rejected.append(differences([one], [other], 100, seed)["macro_auroc"].p < 0.05)
    assert 0.02 <= np.mean(rejected) <= 0.08  # three standard errors beside 0.05


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_of_200_records_hold_the_truth_in_95_percent(repo_dir, clustered):
    """A small version of the table in docs/evaluation.md."""
    benchmark = runpy.run_path(str(repo_dir / "benchmarks" / "coverage.py"))
    of_five = benchmark["POPULATIONS"][-1]
    for name, (held, *_) in benchmark["coverage"](of_five, 200, clustered, 200, 100).items():
        assert 0.9 <= held <= 0.99, name


@pytest.mark.slow
def test_1000_resamples_of_10000_records_and_26_classes_take_less_than_20_s():
    rng = np.random.default_rng(0)
    labels = rng.random((10_000, 26)) < np.linspace(0.01, 0.4, 26)
    start = time.perf_counter()
    intervals([Areas(labels, rng.normal(size=labels.shape) + labels)])
    assert time.perf_counter() - start < 20
