"""How many samples a recording has whose leads are not equally long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.options import MAX_GAP_S


class OneLength(NamedTuple):
    """What becomes of leads of several lengths.

    Attributes:
        n_samples: of the leads that are read; longer ones are cut to it.
        reasons: why each other one is left out.
        notes: what was cut, a sentence each.
    """

    n_samples: int
    reasons: dict[str, str]
    notes: list[str]


def one_length(record_id: str, fs: float, lengths: Mapping[str, int]) -> OneLength:
    """The length of the leads of a recording: that of most of them, where that is more than half.

    Leads that differ from it by at most `MAX_GAP_S` are cut to the shortest, others are left out.

    Args:
        lengths: samples of each lead.

    Raises:
        SignalError: no length is that of more than half of the leads.
    """
    usual, most = Counter(lengths.values()).most_common(1)[0]
    near = {lead: n for lead, n in lengths.items() if abs(n - usual) <= MAX_GAP_S * fs}
    if len(near) < len(lengths) and most <= len(lengths) / 2:
        listed = ", ".join(f"{lead} {n}" for lead, n in lengths.items())
        raise SignalError(
            f"record {record_id}: its leads have different numbers of samples ({listed}), so they were not "
            f"recorded at the same time. Export it with simultaneous leads.",
            kind="with leads of different lengths",
        )
    others = {lead: n for lead, n in lengths.items() if lead not in near}
    reasons = {lead: f"it has {n} samples, most leads have {usual}" for lead, n in others.items()}
    shortest, longest = min(near.values()), max(near.values())
    cut = f"leads of {longest} samples are cut to {shortest}, the length of the shortest"
    return OneLength(shortest, reasons, [cut] if shortest < longest else [])
