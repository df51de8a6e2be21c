"""Calibration bins against answers that are known."""

import numpy as np
import pytest

from fairseq_signals.metrics.calibration import (
    calibration_bins,
    expected_calibration_error,
    wilson_interval,
)


def test_bins_hold_mean_probability_share_and_count():
    bins = calibration_bins([1, 0, 1, 1], [0.05, 0.05, 0.95, 1.0])
    np.testing.assert_allclose(bins.predicted, [0.05, 0.975])
    np.testing.assert_allclose(bins.observed, [0.5, 1.0])
    assert bins.n.tolist() == [2, 2]
    assert expected_calibration_error(bins) == pytest.approx((0.45 + 0.025) / 2)


def test_a_calibrated_forecast_has_no_error():
    outcomes = np.repeat([0, 1, 1, 1, 0, 0, 0, 1], 5)
    probabilities = np.repeat([0.75, 0.75, 0.75, 0.75, 0.25, 0.25, 0.25, 0.25], 5)
    assert expected_calibration_error(calibration_bins(outcomes, probabilities)) == 0


def test_an_edge_belongs_to_the_upper_bin_and_1_to_the_last():
    bins = calibration_bins([[0, 1]], [[0.5, 1.0]], n_bins=2)
    assert bins.n.tolist() == [2]


def test_wilson_gives_the_textbook_interval():
    low, high = wilson_interval(np.array([0.0, 0.5]), np.array([10, 100]))
    np.testing.assert_allclose(low, [0.0, 0.4038], atol=1e-4)
    np.testing.assert_allclose(high, [0.2775, 0.5962], atol=1e-4)


def test_wilson_holds_the_share_and_stays_within_0_and_1():
    count = np.arange(1, 20_000).astype(float)
    for share in (0.0, 1.0, 1 / count, 1 - 1 / count, np.rint(count / 3) / count):
        low, high = wilson_interval(np.broadcast_to(share, count.shape), count)
        assert ((low >= 0) & (low <= share) & (share <= high) & (high <= 1)).all()
    none = wilson_interval(np.zeros(count.size), count)[1]
    np.testing.assert_allclose(none, 1.96**2 / (count + 1.96**2))  # the closed form for none of n


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        calibration_bins([1], [1.5])
    with pytest.raises(ValueError, match="2 outcomes, but 1 prob"):
        calibration_bins([1, 0], [0.5])
    assert np.isnan(expected_calibration_error(calibration_bins([], [])))
