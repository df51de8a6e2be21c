"""How a recording is cut into segments, and what the segments' results make of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.inference.windows import Window, cut, frame_starts, join_frames, weighted_mean


def test_a_whole_number_of_segments_follow_each_other_without_overlap():
    assert cut(10, 5) == [Window(0, 5, 5), Window(5, 10, 5)]
    assert cut(5, 5) == [Window(0, 5, 5)]


def test_of_a_remainder_the_last_segment_ends_with_the_recording_and_counts_as_much_as_it_is_new():
    assert cut(12, 5) == [Window(0, 5, 5), Window(5, 10, 5), Window(7, 12, 2)]


def test_a_shorter_recording_is_one_segment_of_its_own_length():
    assert cut(3, 5) == [Window(0, 3, 3)]


@given(st.integers(1, 500), st.integers(1, 60))
def test_every_sample_is_new_in_exactly_one_segment(n_samples, size):
    windows = cut(n_samples, size)
    new = np.concatenate([np.arange(w.stop - w.new, w.stop) for w in windows])
    np.testing.assert_array_equal(new, np.arange(n_samples))
    assert all(0 <= w.start < w.stop <= n_samples and w.stop - w.start <= size for w in windows)


def test_the_mean_weighs_segments_by_their_new_samples():
    windows = cut(12, 5)
    values = np.array([[1.0], [2.0], [4.0]], dtype=np.float32)
    np.testing.assert_allclose(weighted_mean(values, windows), [(5 * 1 + 5 * 2 + 2 * 4) / 12])


def test_a_remainder_of_a_few_samples_hardly_changes_the_mean():
    values = np.array([[1.0], [1.0], [100.0]])
    assert abs(weighted_mean(values, cut(5001, 2500))[0] - 1) < 0.03


@pytest.mark.parametrize("n_samples", [9, 40, 41, 47, 55, 56, 80, 93])
@pytest.mark.parametrize("stride", [1, 4])
def test_joined_frames_are_in_order_and_as_far_apart_as_the_stride_but_where_segments_meet(n_samples, stride):
    windows = cut(n_samples, 40)
    counts = [(w.stop - w.start) // stride for w in windows]
    starts = frame_starts(windows, counts, stride)
    frames = [
        (w.start + stride * np.arange(n, dtype=float))[:, None] for w, n in zip(windows, counts)
    ]  # each frame says where it begins
    np.testing.assert_array_equal(join_frames(frames, windows, stride)[:, 0], starts)
    assert (np.diff(starts) >= 1).all()
    assert (np.diff(starts) < 2 * stride).all()
    assert starts[0] == 0
    assert n_samples - starts[-1] < 2 * stride
