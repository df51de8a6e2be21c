"""Views of one segment for contrastive learning: how many there are, and which leads each of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import List, Optional

import numpy as np

from fairseq_signals.errors import ConfigError, LeadError

VIEW_LEADS = ("all", "disjoint", "single")


class Views:
    """The views of a segment; one view with all leads is the segment itself.

    Args:
        leads: indices of the loaded leads.
        views: number of views ("all", "disjoint").
        view_leads: "all": every view has all loaded leads; "disjoint": the loaded leads are dealt out to the
            views at random; "single": a view for each loaded lead, in canonical order.
        min_view_leads: leads that each view has at least ("disjoint").

    Raises:
        ConfigError: values that contradict each other; names the key.

    Attributes:
        fixed: each view has the same leads every time, and nothing is drawn.
        n_teacher: how many of them, the first, are a teacher's, see `StudentViews`.
    """

    n_teacher = 0

    def __init__(
        self, leads: Sequence[int], views: int = 1, view_leads: str = "all", min_view_leads: int = 1
    ):
        check_views(len(leads), views, view_leads, min_view_leads)
        self.canonical = sorted(leads)
        self.selection, self.min_leads = view_leads, min_view_leads
        self.n = len(leads) if view_leads == "single" else views
        self.fixed = view_leads != "disjoint"

    def __len__(self) -> int:
        return self.n

    def draw(
        self, rng: Optional[np.random.Generator], present: Optional[np.ndarray] = None
    ) -> List[List[int]]:
        """The leads of each view; `rng` deals them out where they are disjoint, and is not used elsewhere.

        Args:
            present: (12,) bool, the leads that there are to deal out; None: all that are loaded.

        Raises:
            LeadError: there are too few.
        """
        if self.selection == "single":
            return [[lead] for lead in self.canonical]
        if self.selection == "all":
            return [self.canonical] * self.n
        assert rng is not None, "disjoint views are drawn"
        leads = [lead for lead in self.canonical if present is None or present[lead]]
        if len(leads) < self.n * self.min_leads:
            raise LeadError(
                f"has {len(leads)} of the loaded leads, but {self.n} disjoint views (task.views) of at least "
                f"{self.min_leads} (task.min_view_leads) need {self.n * self.min_leads}"
            )
        owner = partition(len(leads), self.n, self.min_leads, rng)
        return [[lead for lead, o in zip(leads, owner) if o == view] for view in range(self.n)]


def partition(n: int, parts: int, least: int, rng: np.random.Generator) -> np.ndarray:
    """The part (n,) that each of n things falls into, each part getting at least `least` of them.

    The sizes of the parts are uniform over all that add up to n (for two parts: the size of the first is
    uniform from `least` to n - `least`); which things make a part is uniform too.
    """
    spare = n - parts * least
    # stars and bars: parts - 1 bars among `spare` stars
    bars = np.sort(rng.choice(spare + parts - 1, size=parts - 1, replace=False))
    sizes = np.diff(bars, prepend=-1, append=spare + parts - 1) - 1 + least
    return rng.permutation(np.repeat(np.arange(parts), sizes))


def keep_leads(signal_mv: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """(leads, samples) with zeros on all other leads: a copy, or the signal itself where all are kept."""
    if len(kept) == len(signal_mv):
        return signal_mv
    view = np.zeros_like(signal_mv)
    view[list(kept)] = signal_mv[list(kept)]
    return view


def check_views(n_leads: int, views: int, view_leads: str, min_view_leads: int) -> None:
    """Raise ConfigError for views that `n_leads` loaded leads cannot give; the message names the key."""
    if view_leads not in VIEW_LEADS:
        raise ConfigError(
            f"task.view_leads must be one of {', '.join(VIEW_LEADS)}, but is {view_leads!r} instead"
        )
    for name, value in (("views", views), ("min_view_leads", min_view_leads)):
        if value < 1:
            raise ConfigError(f"task.{name} must be at least 1, but is {value} instead")
    if view_leads == "single" and views != 1:
        raise ConfigError(
            f"task.views is {views}, but task.view_leads=single makes one view of each loaded lead; "
            "leave task.views at 1"
        )
    if view_leads == "disjoint" and views < 2:
        raise ConfigError(
            "task.view_leads=disjoint deals the leads out to several views, but task.views is 1; set it to 2"
        )
    if view_leads == "disjoint" and n_leads < views * min_view_leads:
        raise ConfigError(
            f"task.leads_to_load gives {n_leads} leads, but {views} disjoint views (task.views) of at least "
            f"{min_view_leads} (task.min_view_leads) need {views * min_view_leads}; load more leads"
        )
