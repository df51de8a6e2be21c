"""Errors and correlation of numbers, of a set and of resamples of it."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from fairseq_signals.metrics.regression import METRICS, metrics_of_moments, moments, regression_metrics


@pytest.fixture
def truth() -> np.ndarray:
    """(200, 2) of different units, far from zero."""
    return np.random.default_rng(0).normal([60, 1e4], [15, 0.5], (200, 2))


@pytest.fixture
def predicted(truth) -> np.ndarray:
    return truth + np.random.default_rng(1).normal([1, 0], [8, 0.3], truth.shape)


def slow_twin(y: np.ndarray, p: np.ndarray) -> dict:
    return {
        "mae": mean_absolute_error(y, p),
        "rmse": root_mean_squared_error(y, p),
        "r2": r2_score(y, p),
        "pearson": pearsonr(y, p)[0],
    }


def test_a_small_set_has_the_metrics_that_one_computes_by_hand():
    found = regression_metrics([[1.0], [2.0], [3.0]], [[2.0], [2.0], [5.0]])
    # errors 1, 0, 2; squares about the mean of the truth 2; covariance 3, squares of the predicted 6
    expected = {"mae": 1, "rmse": np.sqrt(5 / 3), "r2": 1 - 5 / 2, "pearson": 3 / np.sqrt(12)}
    assert {name: values.item() for name, values in found.items()} == pytest.approx(expected)
    assert tuple(found) == METRICS


def test_each_target_has_the_metrics_of_scikit_learn_and_scipy(truth, predicted):
    found = regression_metrics(truth, predicted)
    for k in range(2):
        expected = slow_twin(truth[:, k], predicted[:, k])
        assert {name: values[k] for name, values in found.items()} == pytest.approx(expected, rel=1e-9)


def test_metrics_of_weighted_sums_are_those_of_the_resample(truth, predicted):
    draws = np.random.default_rng(2).integers(0, 200, (7, 200))
    weights = np.stack([np.bincount(draw, minlength=200) for draw in draws])
    found = metrics_of_moments(np.einsum("rn,nmk->mrk", weights, moments(truth, predicted)))
    for i, draw in enumerate(draws):
        expected = regression_metrics(truth[draw], predicted[draw])
        for name in METRICS:
            np.testing.assert_allclose(found[name][i], expected[name], rtol=1e-8, err_msg=name)


def test_what_is_not_defined_is_nan_without_a_warning():
    flat, rising = np.full((4, 1), 0.1), np.arange(4.0)[:, None]
    assert np.isnan(regression_metrics(flat, rising)["r2"]).all()
    assert np.isnan(regression_metrics(flat, rising)["pearson"]).all()
    assert np.isnan(regression_metrics(rising, flat)["pearson"]).all()
    assert np.isfinite(regression_metrics(rising, flat)["r2"]).all()
    resampled_to_one = metrics_of_moments(4 * moments(rising, rising + 1)[3])
    assert np.isnan(resampled_to_one["r2"]).all()
    assert resampled_to_one["mae"] == 1
    nothing = regression_metrics(np.zeros((0, 2)), np.zeros((0, 2)))
    assert all(np.isnan(values).all() and values.shape == (2,) for values in nothing.values())


def test_arrays_of_other_shapes_and_infinities_are_refused():
    with pytest.raises(ValueError, match=r"must be one \(N, K\), but are \(2, 1\) and \(2, 2\)"):
        regression_metrics(np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="must be finite"):
        regression_metrics([[np.nan]], [[0.0]])
