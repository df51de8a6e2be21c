"""Rank-k curve and error rates against answers that are known or found by looking at every pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairseq_signals.metrics.verification import (
    equal_error_rate,
    error_rates,
    false_match_threshold,
    rank_k_accuracy,
    split_pairs,
)

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.integers(-5, 5).map(lambda n: n / 5))


def test_ranks_of_a_small_example_are_as_counted_by_hand():
    similarity = np.array([[0.9, 0.1, 0.5], [0.8, 0.3, 0.6], [0.2, 0.7, 0.1]])
    # right at rank 1; a (0.8) and c (0.6) are ahead of b (0.3); c is last
    np.testing.assert_allclose(
        rank_k_accuracy(similarity, ["a", "b", "c"], ["a", "b", "c"]), [1 / 3, 1 / 3, 1]
    )


def test_a_patient_with_several_recordings_counts_by_the_nearest():
    similarity = np.array([[0.1, 0.9, 0.5]])
    np.testing.assert_allclose(rank_k_accuracy(similarity, [7, 7, 8], [8]), [0, 1])
    np.testing.assert_allclose(rank_k_accuracy(similarity, [7, 7, 8], [7]), [1, 1])


def test_a_probe_of_somebody_unknown_is_never_right():
    assert rank_k_accuracy(np.ones((1, 2)), [1, 2], [3]).tolist() == [0, 0]


def test_of_equally_similar_patients_the_probes_own_is_last():
    assert rank_k_accuracy(np.ones((2, 2)), ["b", "a"], ["b", "a"]).tolist() == [0, 1]


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8))
def test_rank_1_is_the_accuracy_of_the_nearest_entry(seed, n_gallery, n_probes):
    from fairseq_signals.metrics.identification import rank1_accuracy

    rng = np.random.default_rng(seed)
    gallery, probe = (rng.integers(1, 3, (n, 3)).astype(float) for n in (n_gallery, n_probes))
    gallery_ids, probe_ids = (rng.integers(0, 4, n) for n in (n_gallery, n_probes))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (gallery, probe)]
    curve = rank_k_accuracy(unit[1] @ unit[0].T, gallery_ids, probe_ids)
    assert curve[0] == pytest.approx(rank1_accuracy(gallery, gallery_ids, probe, probe_ids).accuracy)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(np.isin(probe_ids, gallery_ids).mean())
    assert len(curve) == len(set(gallery_ids.tolist()))


def test_pairs_are_split_by_whose_they_are():
    genuine, impostor = split_pairs([[1, 2], [3, 4]], ["a", "b"], ["b", "b"])
    assert genuine.tolist() == [2, 4]
    assert impostor.tolist() == [1, 3]


@given(SCORES, SCORES)
def test_error_rates_are_shares_of_pairs_at_each_threshold(genuine, impostor):
    rates = error_rates(genuine, impostor)
    for threshold, false_match, false_non_match in zip(*rates):
        assert false_match == pytest.approx((impostor >= threshold).mean())
        assert false_non_match == pytest.approx((genuine < threshold).mean())
    assert (rates.false_match[0], rates.false_non_match[0]) == (1, 0)
    assert (rates.false_match[-1], rates.false_non_match[-1]) == (0, 1)


def test_pairs_that_a_threshold_tells_apart_have_no_equal_error():
    rate, threshold = equal_error_rate(error_rates([0.8, 0.9], [0.1, 0.2]))
    assert rate == 0
    assert 0.2 < threshold <= 0.8


def test_the_same_similarities_on_both_sides_have_an_equal_error_of_a_half():
    scores = np.linspace(0, 1, 101)
    assert equal_error_rate(error_rates(scores, scores))[0] == pytest.approx(0.5)
    assert equal_error_rate(error_rates([1.0], [1.0]))[0] == pytest.approx(0.5)


def test_one_of_four_on_the_wrong_side_is_an_equal_error_of_a_quarter():
    rate, threshold = equal_error_rate(error_rates([0.3, 0.7, 0.8, 0.9], [0.1, 0.15, 0.2, 0.6]))
    assert rate == pytest.approx(0.25)
    assert 0.3 < threshold <= 0.7


@given(SCORES, st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9]))
def test_the_threshold_of_a_rate_is_the_lowest_that_keeps_it(impostor, rate):
    if rate * len(impostor) < 1 - 1e-9:
        with pytest.raises(ValueError, match="impostor pairs or more"):
            false_match_threshold(impostor, rate)
        return
    threshold = false_match_threshold(impostor, rate)
    assert (impostor >= threshold).mean() <= rate + 1e-12
    lower = impostor[impostor < threshold]
    if len(lower):
        assert (impostor >= lower.max()).mean() > rate


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: error_rates([], [1.0]), "no genuine pair"),
        (lambda: error_rates([1.0], []), "no impostor pair"),
        (lambda: error_rates([np.nan], [1.0]), "must be finite"),
        (lambda: false_match_threshold([0.1] * 10, 1.0), "above 0 and below 1"),
        (lambda: rank_k_accuracy([[1.0]], [1, 2], [1]), r"\(1, 2\).*\(1, 1\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
