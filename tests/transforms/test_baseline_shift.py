"""Baseline shift: a step of sign times amplitude on one span, and nothing else."""

import numpy as np
import pytest
from scipy import stats

from fairseq_signals.transforms.baseline_shift import BaselineShift, shift_baseline

N = 2500


def steps(n: int, n_samples: int = N, **parameters) -> np.ndarray:
    """What the transform adds to a flat line at zero mV with a spike, which makes it present: (n, 12, T)."""
    rng = np.random.default_rng(0)
    signal = np.zeros((12, n_samples), np.float32)
    signal[:, 0] = 4.0
    transform = BaselineShift(**parameters)
    return np.stack([transform(signal, rng) for _ in range(n)]) - signal


def spans(step: np.ndarray) -> np.ndarray:
    """Start and length of the span of each of (n, 12, T), the same in all leads: (n, 2)."""
    inside = step != 0
    assert np.array_equal(inside, np.broadcast_to(inside[:, :1], inside.shape))
    start, length = inside[:, 0].argmax(axis=1), inside[:, 0].sum(axis=1)
    for row, s, n in zip(inside[:, 0], start, length):
        assert row[s : s + n].all()  # one span
    return np.stack([start, length], axis=1)


def test_given_leads_are_shifted_on_the_given_span():
    shifted = shift_baseline(np.zeros((2, 6), np.float32), np.array([0.5, -0.25]), 2, 3)
    assert shifted.tolist() == [[0, 0, 0.5, 0.5, 0.5, 0], [0, 0, -0.25, -0.25, -0.25, 0]]


def test_all_leads_step_by_the_same_amplitude_up_or_down_on_the_same_span():
    step = steps(100)
    spans(step)
    extreme = np.abs(step).max(axis=2)
    assert np.array_equal(step.max(axis=2) - step.min(axis=2), extreme)  # one value, up or down
    assert np.ptp(extreme, axis=1).max() < 1e-6
    assert extreme.max() <= 0.25


def test_the_amplitude_is_uniform(assert_distributed):
    assert_distributed(np.abs(steps(1000, 50)).max(axis=(1, 2)), stats.uniform(0, 0.25))
    bounded = steps(1000, 50, min_amplitude_mv=1.0, max_amplitude_mv=3.0)
    assert_distributed(np.abs(bounded).max(axis=(1, 2)), stats.uniform(1, 2))


PAPER = {"max_amplitude_mv": 0.5, "amplitudes": "each_lead", "span": "uniform"}


def test_the_shift_of_the_paper_is_uniform_around_0_in_each_lead_on_one_span(assert_distributed):
    step = steps(2000, 50, **PAPER)
    value = np.take_along_axis(step, spans(step)[:, :1, None].repeat(12, axis=1), axis=2)[:, :, 0]
    np.testing.assert_allclose(step, value[:, :, None] * (step != 0), atol=1e-6)  # one value, and 0 elsewhere
    for lead in value.T:
        assert_distributed(lead, stats.uniform(-0.5, 1))
    assert abs(np.corrcoef(np.abs(value[:, 0]), np.abs(value[:, 1]))[0, 1]) < 0.11  # five standard deviations


def test_a_uniform_span_lies_between_two_uniform_times(assert_distributed):
    start, length = spans(steps(2000, **PAPER)).T
    noise = np.random.default_rng(0).uniform(size=(2, 2000))
    assert_distributed((start + noise[0]) / N, stats.beta(1, 2))  # the lesser and the larger of two
    assert_distributed((start + length - noise[1]) / N, stats.beta(2, 1))


def test_signs_are_even_and_independent_between_leads(assert_share):
    up = steps(2000, 50).sum(axis=2) > 0
    assert_share(up, 0.5)
    same = (up[:, :, None] == up[:, None, :])[:, ~np.eye(12, dtype=bool)]
    assert_share(same, 0.5)


def test_the_span_is_about_a_fifth_of_the_segment_somewhere_in_it(assert_distributed):
    start, length = spans(steps(1000)).T
    assert_distributed(length + np.random.default_rng(0).uniform(-0.5, 0.5, 1000), stats.norm(500, 100))
    assert_distributed(start / (N - length), stats.uniform(0, 1))


@pytest.mark.parametrize(
    ("parameters", "lengths"),
    [
        ({"span_mean": 1.0, "span_sd": 0.0}, {40}),
        ({"span_mean": 0.0, "span_sd": 0.0}, {1}),  # never none
        ({"span_mean": 0.5, "span_sd": 0.0}, {20}),
        ({"span_mean": 0.5, "span_sd": 50.0}, set(range(1, 41))),  # cut to the segment
    ],
)
def test_the_span_has_the_length_that_is_asked_for(parameters, lengths):
    drawn = set(spans(steps(300, 40, **parameters))[:, 1].tolist())
    assert drawn <= lengths
    assert {min(lengths), max(lengths)} <= drawn


def test_with_the_dependency_the_derived_leads_step_by_what_follows(limb_error):
    step = steps(50, keep_dependency=True)
    for one in step:
        assert limb_error(one) < 1e-6
    height = np.abs(step).max(axis=2)
    ratio = (height / height[:, :1]).round(4)
    assert set(ratio[:, 2].tolist()) == {0.0, 2.0}  # III: where I and II step alike, and where they do not
    assert set(ratio[:, 6].tolist()) == {1.0}
