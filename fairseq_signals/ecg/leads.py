"""The twelve standard leads: names, order, aliases, lead sets and the limb-lead relations.

The only place that knows the order of the lead axis and how files spell lead names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fairseq_signals.errors import LeadError, did_you_mean

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
N_LEADS = len(LEADS)
LIMB_LEADS = LEADS[:6]
CHEST_LEADS = LEADS[6:]
#: The leads from which the other four follow, see `complete_leads`.
INDEPENDENT_LEADS = (*LEADS[:2], *CHEST_LEADS)

#: Lead sets of the paper (section 4), by the number of leads in each.
LEAD_SETS: dict[str, tuple[str, ...]] = {
    "12": LEADS,
    "6": LIMB_LEADS,
    "3": ("I", "II", "V2"),
    "2": ("I", "II"),
    "1": ("I",),
}

# Other spellings of the twelve, in lower case and without blanks, dashes and underscores. "lead", "ecg" and
# "ekg" in front of a name are taken off first ("ECG I", "lead_aVR"). Anything else is not one of the twelve.
_ALIASES: dict[str, str] = {
    # "ml" are the modified limb leads of ambulatory recorders (MIT-BIH)
    **{before + name.lower(): name for before in ("d", "l", "ml") for name in ("I", "II", "III")},
    **{f"l{number}": name for number, name in enumerate(("I", "II", "III"), 1)},
    **{f"c{number}": f"V{number}" for number in range(1, 7)},  # IEC names of the chest electrodes
    **{f"mv{number}": f"V{number}" for number in (1, 2, 5)},
}
_BY_KEY: dict[str, str] = {**_ALIASES, **{name.lower(): name for name in LEADS}}
_PREFIX = re.compile(r"^(?:lead|ecg|ekg)(?=[^a-z0-9]|[ivac])[\s_:.\-]*")
_SEPARATORS = re.compile(r"[\s_\-]+")
_INTEGER = re.compile(r"[+-]?\d+")


@lru_cache(maxsize=1024)  # every record of a corpus spells them alike
def canonical_lead(name: str) -> str | None:
    """The canonical name of a lead however a file spells it, or None if it is not one of the twelve.

    Case, blanks and the prefixes "lead" and "ECG" do not matter; other spellings are listed explicitly.
    """
    key = _PREFIX.sub("", name.strip().lower())
    return _BY_KEY.get(_SEPARATORS.sub("", key))


def parse_leads(spec: Any = None) -> tuple[int, ...]:
    """The 0-based indices of the leads that a specification selects, in the order given.

    Args:
        spec: None for all twelve; the key of a lead set ("12", "6", "3", "2", "1"); a name; names or indices
            separated by commas ("I,II,V2", "[0, 1]"); one index; or a sequence of names and indices.
            A bare number in a string is a lead set; an int, or a number in a list, is an index.

    Raises:
        LeadError: a name or index that does not exist, a lead given twice, or nothing selected.
    """
    if spec is None:
        return tuple(range(N_LEADS))
    if isinstance(spec, str):
        text = spec.strip()
        if text in LEAD_SETS:
            return tuple(LEADS.index(name) for name in LEAD_SETS[text])
        if _INTEGER.fullmatch(text):
            raise LeadError(
                f"there is no lead set {text!r}: they are {', '.join(LEAD_SETS)}. "
                f"An index is written as [{text}]."
            )
        items = _split(text)
    elif isinstance(spec, int) and not isinstance(spec, bool):
        items = [spec]
    elif hasattr(spec, "__iter__") and not isinstance(spec, (set, frozenset, dict)):
        items = list(spec)
    else:
        raise LeadError(f"leads must be names, indices or a lead set, but are {spec!r}")
    indices = tuple(_item_index(item, spec) for item in items)
    if not indices:
        raise LeadError(f"no lead is selected by {spec!r}. Name at least one of {', '.join(LEADS)}.")
    repeated = sorted({LEADS[i] for i in indices if indices.count(i) > 1}, key=LEADS.index)
    if repeated:
        raise LeadError(f"lead {', '.join(repeated)} is given more than once in {spec!r}")
    return indices


def configured_leads(spec: Any = None) -> tuple[int, ...]:
    """The leads that `task.leads_to_load` selects, see `parse_leads`.

    YAML and hydra make an integer of a lead set's key, so that an integer is a lead set here, not an index.
    """
    return parse_leads(str(spec) if isinstance(spec, int) and not isinstance(spec, bool) else spec)


def _split(text: str) -> list[Any]:
    """The items of "I,II", "[0, 1]" or "['I', 1]"."""
    if text[:1] in ("[", "("):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            closing = {"[": "]", "(": ")"}[text[0]]
            if not text.endswith(closing):
                raise LeadError(f"leads {text!r}: the bracket is not closed") from None
            text = text[1:-1]  # names without quotes, as YAML and shells leave them: [I, II]
        else:
            return list(value) if isinstance(value, (list, tuple)) else [value]
    return [part.strip().strip("'\"") for part in text.split(",") if part.strip()]


def _item_index(item: Any, spec: Any) -> int:
    if isinstance(item, str) and not _INTEGER.fullmatch(item.strip()):
        lead = canonical_lead(item)
        if lead is None:
            hint = did_you_mean(_SEPARATORS.sub("", item), LEADS) or "."
            raise LeadError(f"unknown lead {item!r}{hint} The leads are {', '.join(LEADS)}.")
        return LEADS.index(lead)
    item = int(item) if isinstance(item, str) else item
    if isinstance(item, bool) or not isinstance(item, (int, np.integer)):
        raise LeadError(f"leads {spec!r}: {item!r} is neither a lead name nor an index")
    if not 0 <= item < N_LEADS:
        raise LeadError(
            f"leads {spec!r}: index {item} is outside 0-{N_LEADS - 1}. "
            f'Lead sets ({", ".join(LEAD_SETS)}) are given as a string on their own, such as "2".'
        )
    return int(item)


def derive_limb_leads(lead_i: np.ndarray, lead_ii: np.ndarray) -> np.ndarray:
    """The six limb leads (6, T) that follow from I and II (T,) by Einthoven's and Goldberger's relations.

    III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2; the unit is that of the input.
    """
    return np.stack(
        [
            lead_i,
            lead_ii,
            lead_ii - lead_i,
            -(lead_i + lead_ii) / 2,
            lead_i - lead_ii / 2,
            lead_ii - lead_i / 2,
        ]
    )


def complete_leads(independent: np.ndarray) -> np.ndarray:
    """All twelve leads (12, ...) from the eight independent ones, I, II and V1 to V6 (8, ...).

    Anything that reaches the leads through the electrodes obeys this: the heart's signal and electrode noise.
    """
    return np.concatenate([derive_limb_leads(independent[0], independent[1]), independent[2:]])


def by_canonical_lead(names: Sequence[str]) -> dict[str, list[int]]:
    """For each of the twelve leads that occur in `names`, the positions where it occurs, in lead order."""
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        lead = canonical_lead(name)
        if lead is not None:
            found.setdefault(lead, []).append(position)
    return {lead: found[lead] for lead in LEADS if lead in found}
