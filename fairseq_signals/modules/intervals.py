"""Intervals of ECGs by their QRS complexes, the same for recordings and for what a model has made."""

from typing import NamedTuple

import torch
from torch import Tensor

from fairseq_signals.modules.beats import complexes, smoothed

WORD_S, WINDOW_S, SMOOTH_S = 0.96, 0.12, 0.01  #: of `complexes`; before and after one; of slopes
LEAST_BEATS = 3
OUTER = 0.02  #: share of a complex's slopes that is before its onset, and as much after its end


class Intervals(NamedTuple):
    """Of N ECGs; NaN where there are not enough complexes to tell.

    Attributes:
        rate_bpm: (N,) by the mean distance of complexes.
        irregularity: (N,) root mean square of how RR intervals differ from those before, over their mean.
        qrs_s: (N,) from 2 % to 98 % of the slopes of the median complex, which grows with the duration of QRS
            and is not the same.
    """

    rate_bpm: Tensor
    irregularity: Tensor
    qrs_s: Tensor


def intervals(source: Tensor, fs: float) -> Intervals:
    """Those of (N, leads, T) at `fs` Hz, in whatever unit."""
    found = complexes(source.float(), round(WORD_S * fs))
    slopes = smoothed(source.double().diff(dim=2), round(SMOOTH_S * fs)).square().sum(dim=1).sqrt()
    rows = [_of_one(places.nonzero()[:, 0], slope, fs) for places, slope in zip(found, slopes)]
    return Intervals(*torch.tensor(rows, dtype=torch.float64).view(-1, 3).T)


def _of_one(places: Tensor, slope: Tensor, fs: float) -> tuple[float, float, float]:
    """Of complexes (K,) and slopes of all leads together (T - 1,)."""
    if len(places) < LEAST_BEATS:
        return (float("nan"),) * 3
    rr = places.diff().double()
    irregularity = rr.diff().square().mean().sqrt() / rr.mean()
    half = round(WINDOW_S * fs)
    index = places[:, None] + torch.arange(-half, half, device=places.device)
    whole = index[(index[:, 0] >= 0) & (index[:, -1] < len(slope))]
    beat = slope[whole].median(dim=0).values
    share = (beat - slope.median()).clamp(min=0).cumsum(dim=0)  # what is between complexes is none of theirs
    width = ((share > OUTER * share[-1]) & (share < (1 - OUTER) * share[-1])).sum()
    return 60 * fs / float(rr.mean()), float(irregularity), float(width) / fs
