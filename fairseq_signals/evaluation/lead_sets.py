"""Which leads a model is given, as users write it: 12,6,3,2,1, I+II+V5, each, random:4, 12@100Hz.

`each` and `random:K` are families: names of several lead sets, whose mean and worst are results of their own
(`summaries.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations
from typing import Dict, Tuple

import numpy as np

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEAD_SETS, LEADS, parse_leads
from fairseq_signals.errors import LeadError
from fairseq_signals.evaluation.degradation import AT, parse_degradation
from fairseq_signals.evaluation.robustness import curve_specs

#: Those of the paper (Sec. 4), as `parse_lead_sets` takes them.
DEFAULT_LEAD_SETS = ",".join(LEAD_SETS)
LEAD_SETS_HELP = (
    "lead sets, separated by commas: 12, 6 (limb), 3 (I, II, V2), 2 (I, II), 1 (I), or leads joined with + "
    "(I+II+V5); each: every lead alone; random:K: 10 random sets of K leads, random:K:R: R of them, the same "
    "in each run. Names alone separated by commas are one set. Behind each may stand how recordings are "
    "degraded: 12@100Hz, 12@emg6dB (also wander, powerline)"
)
EACH, RANDOM = "each", "random"
DRAWS = 10  #: of `random:K`
_SEED = 2021  # of the draws; the seed of a training is another matter
_RANDOM = re.compile(r"random:(\d{1,2})(?::(\d{1,3}))?")


class LeadSets(Dict[str, Tuple[int, ...]]):
    """Lead indices by the lead set's label, in order.

    Attributes:
        families: by name, the labels of the lead sets that it stands for.
    """

    def __init__(self, specs: Sequence[str], form: InputFormat, curves: str | None):
        super().__init__()
        self.families: dict[str, tuple[str, ...]] = {}
        self._specs, self._form, self._curves = tuple(specs), form, curves
        items = _items(specs)
        if curves is not None:
            clean = [item for item in items if AT not in item]
            alone = [item for item in clean if not _is_family(item)] or clean
            items += curve_specs(curves, alone, len(form.leads), form.fs)
        for item in items:
            name, at, how = item.partition(AT)
            suffix = f"{AT}{parse_degradation(how)}" if at else ""
            if _is_family(name):
                self._add_family(name, suffix)
            else:
                self._add(name, suffix)
        if not self:
            raise LeadError(f"no lead set is given; numbered ones are {', '.join(LEAD_SETS)}, others I+II+V5")

    def of_model(self, form: InputFormat) -> LeadSets:
        """The same of a model: families are of the leads that it takes, curves end at its sampling rate."""
        return LeadSets(self._specs, form, self._curves)

    def _add(self, name: str, suffix: str) -> None:
        if name.isdecimal() and name not in LEAD_SETS:
            raise LeadError(
                f"there is no lead set {name}: numbered ones are {', '.join(LEAD_SETS)}; "
                "name the leads of another, such as I+II+V5"
            )
        indices = parse_leads(name if name in LEAD_SETS else name.split("+"))
        self[(name if name in LEAD_SETS else _label(indices)) + suffix] = indices

    def _add_family(self, name: str, suffix: str) -> None:
        taken = tuple(sorted(self._form.leads))
        members: dict[str, tuple[int, ...]]
        if name == EACH:
            members = {_label((lead,)) + suffix: (lead,) for lead in taken}
        else:
            members = {f"{name} {_label(leads)}{suffix}": leads for leads in _random_sets(name, taken)}
        self.families[name + suffix] = tuple(members)
        self.update(members)


def parse_lead_sets(
    specs: Sequence[str], form: InputFormat | None = None, curves: str | None = None
) -> LeadSets:
    """Lead indices by the lead set's label, in the order given.

    Args:
        specs: each "12,6,3,2,1" (numbered sets), "I+II+V5" (one set by names), "each" (every lead alone),
            "random:4" or "random:4:20" (10 or 20 sets of 4 random leads), separated by commas, or nothing
            but names separated by commas ("I,II,V5": one set, as in `leads_to_load`). A degradation may
            stand behind, as in "12@100Hz": see `degradation.py`.
        form: what the model takes; the paper's by default. "each" and "random" are of its leads.
        curves: robustness curves of the lead sets, of `robustness.CURVES`, separated by commas.

    Raises:
        LeadError: unknown or repeated leads, more random leads than the model takes, or no set at all.
        ConfigError: there is no such degradation or curve.
    """
    return LeadSets(specs, form or InputFormat(), curves)


def _items(specs: Sequence[str]) -> list[str]:
    found = []
    for spec in specs:
        items = [item.strip() for item in spec.split(",") if item.strip()]
        if len(items) > 1 and not any(item in LEAD_SETS or _is_more(item) for item in items):
            items = ["+".join(items)]
        found += items
    return found


def _is_more(item: str) -> bool:
    """Whether it is more than the name of a lead."""
    return "+" in item or AT in item or _is_family(item)


def _is_family(item: str) -> bool:
    return item == EACH or item.startswith(RANDOM)


def _label(leads: tuple[int, ...]) -> str:
    return "+".join(LEADS[i] for i in leads)


def _random_sets(name: str, taken: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Different sets of K leads, the first R of an order that depends on K and the leads alone."""
    found = _RANDOM.fullmatch(name)
    if not found:
        raise LeadError(
            f"{name!r} is no random lead set: it is random:K, K leads drawn {DRAWS} times, or random:K:R, "
            "drawn R times"
        )
    size, n_draws = int(found[1]), int(found[2] or DRAWS)
    if not 1 <= size <= len(taken) or not n_draws:
        raise LeadError(f"{name}: K must be 1 to {len(taken)}, the leads that the model takes, and R above 0")
    if math.comb(len(taken), size) <= n_draws:
        return list(combinations(taken, size))
    rng = np.random.default_rng([_SEED, size])
    draws: dict[tuple[int, ...], None] = {}
    while len(draws) < n_draws:
        draws[tuple(sorted(rng.choice(taken, size, replace=False).tolist()))] = None
    return list(draws)
