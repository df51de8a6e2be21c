"""How segments of a manifest become the rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.normalize import AS_IT_IS, Scaling


@dataclass(frozen=True)
class SegmentOptions:
    """How segments are loaded.

    Args:
        leads: indices of the leads to load.
        pad_leads: leads that are not loaded are zeros on an axis of 12; else only `leads`, in their order.
        scaling: what is done to the amplitude.
        pad: bring the segments of a batch to the longest with zeros; else cut them to the shortest.
        min_sample_size: leave out shorter segments (counted in the log), in samples.
        max_sample_size: cut longer ones: at random in training (`shuffle`), else at their beginning.
        keep_a_lead: masks and disjoint views leave each view a lead of those that its record has; else one
            may be without any, and all zeros.
        own_crops: where segments are cut at random, each view has a cut of its own.
        local_views: further views of each segment, short stretches anywhere in it, of all loaded leads.
        local_samples: their length.
    """

    leads: Tuple[int, ...] = tuple(range(N_LEADS))
    pad_leads: bool = True
    scaling: Scaling = AS_IT_IS
    pad: bool = True
    min_sample_size: Optional[int] = None
    max_sample_size: Optional[int] = None
    keep_a_lead: bool = False
    own_crops: bool = False
    local_views: int = 0
    local_samples: int = 0


DEFAULTS = SegmentOptions()
