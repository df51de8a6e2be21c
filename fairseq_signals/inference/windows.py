"""Cutting a recording into the segments that a model was trained on, and putting the results together.

Segments follow each other without a gap. Where a remainder is left, one more segment ends with the recording
and overlaps the one before; it counts as much as it is new: by its `new` samples; or the rest is dropped.
A recording that is shorter than a segment is one segment of its own length, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fairseq_signals.checkpoints.input_format import DROP, OVERLAP


class Window(NamedTuple):
    """One segment of a recording: samples `start` to `stop`, the last `new` of them in no earlier one."""

    start: int
    stop: int
    new: int


def cut(n_samples: int, size: int, last_segment: str = OVERLAP) -> list[Window]:
    """The segments of a recording of `n_samples`; each sample is new in exactly one of them.

    Args:
        last_segment: "overlap", or "drop" a remainder, see `InputFormat`.
    """
    if n_samples <= size:
        return [Window(0, n_samples, n_samples)]
    windows = [Window(start, start + size, size) for start in range(0, n_samples - size + 1, size)]
    rest = n_samples - windows[-1].stop
    if not rest or last_segment == DROP:
        return windows
    return [*windows, Window(n_samples - size, n_samples, rest)]


def weighted_mean(values: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """Mean of the rows (W, ...) of the windows, each weighted by its new samples; float64."""
    if len(windows) == 1:
        return values[0].astype(np.float64)
    weights = np.array([window.new for window in windows], dtype=np.float64)
    return np.tensordot(weights / weights.sum(), values.astype(np.float64), axes=1)


def first_frame(window: Window, stride: int) -> int:
    """The first frame of a window that begins in its new samples; frame f begins at sample f * stride."""
    return -(-(window.stop - window.start - window.new) // stride)


def join_frames(frames: Sequence[np.ndarray], windows: Sequence[Window], stride: int) -> np.ndarray:
    """The frames of all windows, each (F, D), as those of one recording: (sum of F, D), without overlap."""
    if len(windows) == 1:
        return frames[0]
    return np.concatenate([part[first_frame(window, stride) :] for part, window in zip(frames, windows)])


def frame_starts(windows: Sequence[Window], n_frames: Sequence[int], stride: int) -> np.ndarray:
    """The sample at which each of the joined frames begins, (sum of F,) int64.

    Args:
        windows: of the recording.
        n_frames: frames of each window.
        stride: samples from one frame to the next.
    """
    parts = [
        window.start + stride * np.arange(first_frame(window, stride), n)
        for window, n in zip(windows, n_frames)
    ]
    return np.concatenate(parts)
