"""The twelve standard leads: names, order, aliases, lead sets and the limb-lead relations.

The only place that knows the order of the lead axis and how files spell lead names.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fairseq_signals.ecg.units import millivolt_per
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

# What stands before or after a lead's name and says no more than that it is one.
_WORD = r"(?:ecg|ekg|mdc|leads?|abl(?:eitung)?|d[e\u00e9]rivation|derivaci[o\u00f3]n)"
_WORD_BEFORE = re.compile(_WORD + r"(?=[^a-z0-9]|[ivac]|$)(?:[\s_:./]+|-\s*)?(?:-\s+)?")
_WORD_AFTER = re.compile(r"[\s_]+(?:ecg|ekg|lead)$")
_IN_BRACKETS = re.compile(r"(.*?)[\s_]*[(\[]\s*([^()\[\]]*?)\s*[)\]]")
_UNIT_AFTER = re.compile(r"(.+?)[\s,/_]+([munk]?v|[^\0-\x7f]+v)")
_NEGATIVE = re.compile(
    r"(?:neg(?:ative)?|inv(?:erted)?|minus)[\s_]+(.+)|(.+?)[\s_]*(?:neg(?:ative)?|inverted)"
)
_REFERENCE = re.compile(r"\s*[-:]\s*(?:ref(?:erence)?|wct|g\d|0)$")  # what electrode it is against
_SEPARATORS = re.compile(r"[\s_\-.:/]+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_INTEGER = re.compile(r"[+-]?\d+")

# Spellings of the twelve in lower case, without blanks, dashes and underscores; all others are none of them.
_BY_KEY: dict[str, str] = {
    **{name.lower(): name for name in LEADS},
    # "d" and "l" are of Romance and German devices, "ml" the modified limb leads of ambulatory recorders
    **{
        before + number: name
        for before in ("d", "l", "ml")
        for name, arabic in (("I", "1"), ("II", "2"), ("III", "3"))
        for number in (name.lower(), arabic)
    },
    **{f"mv{number}": f"V{number}" for number in (1, 2, 5)},
}
#: IEC names of the chest electrodes, which electrodes of an EEG have too.
_IEC = {f"c{number}": f"V{number}" for number in range(1, 7)}
#: Limb leads as differences of electrodes. The other way round some write the same leads, so it is not read.
_BIPOLAR = {"la-ra": "I", "ll-ra": "II", "lf-ra": "II", "ll-la": "III", "lf-la": "III"}
_ELECTRODES = {"ra", "la", "rl", "ll", "lf", "rf"}
# Electrodes of the 10-20 system and its extensions, references, eyes; a bank C of a multichannel amplifier.
_EEG = re.compile(
    r".*(?:eeg|eog|emg).*|(?:fp|af|f|ft|fc|t|tp|cp|p|po|o|c|i)z?(?:\d+h?|z)(?![a-z0-9]).*"
    r"|(?:a[12]|e[12]|m[12]|loc|roc|nz)(?![a-z0-9]).*"
)


class LeadName(NamedTuple):
    """Which of the twelve leads a channel is.

    Attributes:
        lead: its canonical name.
        sign: -1 where the channel is the lead negated, such as "-aVR".
    """

    lead: str
    sign: int = 1


@lru_cache(maxsize=1024)  # every record of a corpus spells them alike
def lead_of(name: str) -> LeadName | None:
    """The lead that a name says however a file spells it, or None if it is not one of the twelve.

    Case, blanks, a unit behind it and words such as "lead" and "ECG" do not matter. A minus in front turns
    the sign. A dash between two leads or electrodes is their difference, which is one of the twelve only
    where Einthoven's triangle says so. "C1" to "C6" are none of them here, see `leads_of`.
    """
    return _lead_of(name)[0]


def leads_of(names: Sequence[str]) -> list[LeadName | None]:
    """The lead that each channel of one recording is, or None.

    "C1" to "C6" are V1 to V6 where there are limb leads and no electrode of an EEG among the names. "C3" and
    "C4" without any other of them are electrodes of a sleep study.
    """
    read = [_lead_of(name) for name in names]
    limb = any(one is not None and one.lead in LIMB_LEADS for one, _ in read)
    if limb and {iec.lead for _, iec in read if iec} - {"V3", "V4"} and not any(map(_is_of_eeg, names)):
        return [one or iec for one, iec in read]
    return [one for one, _ in read]


@lru_cache(maxsize=1024)
def _lead_of(name: str) -> tuple[LeadName | None, LeadName | None]:
    """What a name says by itself, and what it says if "C" stands for the chest."""
    text = unicodedata.normalize("NFKC", name).translate(_DASHES).strip().lower()
    says_ecg = False
    if (unit := _UNIT_AFTER.fullmatch(text)) is not None:
        text = unit[1]
    if (bracket := _IN_BRACKETS.fullmatch(text)) is not None:
        outside, inside = bracket[1], bracket[2]
        if not inside or millivolt_per(inside) is not None:
            text = outside
        elif _NEGATIVE.fullmatch(f"{inside} x"):
            text = f"-{outside}"
        elif _WORD_BEFORE.sub("", outside) == "":
            text, says_ecg = inside, True
        elif same := set(filter(None, _lead_of(outside))).intersection(_lead_of(inside)):
            return same.pop(), None  # "V1 (C1)"
    sign, rest = _sign(text)
    while (word := _WORD_BEFORE.match(rest)) is not None and word.end() < len(rest):
        says_ecg |= word[0].startswith(("ecg", "ekg", "mdc"))
        rest = rest[word.end() :]
    whole = _WORD_AFTER.sub("", rest)
    inner, rest = _sign(_REFERENCE.sub("", whole))  # of an EEG, electrodes have a reference
    lead, key = _plain(rest), _SEPARATORS.sub("", rest)
    if lead is None and key in _IEC and not rest.endswith("-") and not _REFERENCE.search(whole):
        iec = LeadName(_IEC[key], sign * inner)
        return (iec, None) if says_ecg else (None, iec)
    return (None if lead is None else LeadName(lead, sign * inner)), None


def _sign(text: str) -> tuple[int, str]:
    """1 or -1, and the text without what says so."""
    if text[:1] in ("-", "+"):
        return (-1 if text[0] == "-" else 1), text[1:].lstrip()
    negative = _NEGATIVE.fullmatch(text)
    return (1, text) if negative is None else (-1, negative[1] or negative[2])


def _plain(text: str) -> str | None:
    """The lead that a name without words and sign says."""
    if text.startswith("-") or text.endswith("-"):
        return None  # whether that is a sign is not clear
    parts = [_SEPARATORS.sub("", part) for part in text.split("-")]
    if len(parts) > 1 and all(part in _BY_KEY or part in _ELECTRODES for part in parts):
        return _BIPOLAR.get("-".join(parts))
    if sum(word in _BY_KEY for word in _SEPARATORS.split(text)) > 1:
        return None  # "I/II" is two leads, not III
    return _BY_KEY.get("".join(parts))


def _is_of_eeg(name: str) -> bool:
    text = name.strip().lower()
    number = re.fullmatch(r"c(\d+)", text)
    if number is not None:
        return int(number[1]) not in range(1, 7)
    return _EEG.fullmatch(text) is not None and _lead_of(name) == (None, None)


def parse_leads(spec: Any = None) -> tuple[int, ...]:
    """The 0-based indices of the leads that a specification selects, in the order given.

    Args:
        spec: None for all twelve; the key of a lead set ("12", "6", "3", "2", "1"); a name; names or indices
            separated by commas ("I,II,V2", "[0, 1]"); or a sequence of names and indices. A number in
            a string is a lead set, one in a list an index; a bare integer may be meant as either.

    Raises:
        LeadError: a name or index that does not exist, a lead negated or given twice, a bare integer, or
            nothing selected.
    """
    selected = signed_leads(spec)
    negated = [LEADS[index] for index, sign in selected if sign < 0]
    if negated:
        raise LeadError(
            f"leads {spec!r}: -{negated[0]} says what a channel is; to select the lead, name {negated[0]}"
        )
    return tuple(index for index, _ in selected)


def signed_leads(spec: Any = None) -> list[tuple[int, int]]:
    """The index of the lead that each row of an array is, and -1 where the row is the lead negated, else 1.

    Args:
        spec: as for `parse_leads`; "-aVR" is aVR negated.

    Raises:
        LeadError: a name or index that does not exist, a lead given twice, or nothing selected.
    """
    if spec is None:
        spec = "12"
    if isinstance(spec, str):
        text = spec.strip()
        if text in LEAD_SETS:
            return [(LEADS.index(name), 1) for name in LEAD_SETS[text]]
        if _INTEGER.fullmatch(text):
            raise LeadError(
                f"there is no lead set {text!r}: they are {', '.join(LEAD_SETS)}. "
                f"An index is written as [{text}]."
            )
        items = _split(text)
    elif isinstance(spec, (int, np.integer)) and not isinstance(spec, bool):
        raise LeadError(
            f"leads={spec} may mean a lead set or an index: write leads='{spec}' for the lead set "
            f"({', '.join(LEAD_SETS)}), leads=[{spec}] for the index (0-{N_LEADS - 1})"
        )
    elif hasattr(spec, "__iter__") and not isinstance(spec, (set, frozenset, dict)):
        items = list(spec)
    else:
        raise LeadError(f"leads must be names, indices or a lead set, but are {spec!r}")
    named = leads_of([item if isinstance(item, str) else "" for item in items])
    selected = [_item_index(item, lead, spec) for item, lead in zip(items, named)]
    if not selected:
        raise LeadError(f"no lead is selected by {spec!r}. Name at least one of {', '.join(LEADS)}.")
    indices = [index for index, _ in selected]
    repeated = sorted({LEADS[i] for i in indices if indices.count(i) > 1}, key=LEADS.index)
    if repeated:
        raise LeadError(f"lead {', '.join(repeated)} is given more than once in {spec!r}")
    return selected


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


def _item_index(item: Any, lead: LeadName | None, spec: Any) -> tuple[int, int]:
    if isinstance(item, str) and not _INTEGER.fullmatch(item.strip()):
        if lead is None:
            raise LeadError(f"unknown lead {item!r}{_hint(item)} The leads are {', '.join(LEADS)}.")
        return LEADS.index(lead.lead), lead.sign
    item = int(item) if isinstance(item, str) else item
    if isinstance(item, bool) or not isinstance(item, (int, np.integer)):
        raise LeadError(f"leads {spec!r}: {item!r} is neither a lead name nor an index")
    if not 0 <= item < N_LEADS:
        raise LeadError(
            f"leads {spec!r}: index {item} is outside 0-{N_LEADS - 1}. "
            f'Lead sets ({", ".join(LEAD_SETS)}) are given as a string on their own, such as "2".'
        )
    return int(item), 1


def _hint(name: str) -> str:
    """What the lead may be meant to be, with the end of the sentence."""
    iec = _lead_of(name)[1]
    if iec is not None:
        return f": an electrode of an EEG, or of the chest. For the lead, name {iec.lead}."
    return did_you_mean(name, LEADS if len(_SEPARATORS.split(name)) == 1 else ()) or "."  # not III for I-II


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
