"""What a user says about the names of channels, and which lead each channel of a recording then is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_signals.ecg.leads import LEADS, LeadName, lead_of, leads_of
from fairseq_signals.ecg.units import millivolt_per, split_unit
from fairseq_signals.errors import LeadError, did_you_mean

#: In place of a lead: the channel is none of the twelve, whatever it is called.
NO_LEAD = "none"


class FoundLead(NamedTuple):
    """A channel that is one of the twelve leads.

    Attributes:
        position: of the channel among those of the file.
        sign: -1 where it is the lead negated.
        said: whether the user says that it is the lead.
    """

    position: int
    sign: int = 1
    said: bool = False


@dataclass(frozen=True)
class LeadNames:
    """Which lead channels are, as `parse_lead_names` makes it of the user's words.

    Attributes:
        by_name: name of a channel, in any case, with or without a voltage behind it, and the lead it is, such
            as ("ECG2", "V5") or ("x", "-aVR").
        in_order: the lead that each channel is; goes before `by_name`.
    """

    by_name: tuple[tuple[str, str], ...] = ()
    in_order: tuple[str, ...] = ()

    def find(self, names: Sequence[str]) -> Mapping[str, Sequence[FoundLead]]:
        """Where each of the twelve leads is among the channels of a recording, in lead order.

        Raises:
            LeadError: there are more or fewer channels than `in_order` names.
        """
        return _find(self, tuple(names))

    def names(self, name: str) -> bool:
        """Whether a channel of this name is one that the user names."""
        return self._of(name) is not None

    def unused(self, names: Sequence[str]) -> list[str]:
        """The channels that are named and that a recording does not have."""
        there = {key for name in names for key in _keys(name)}
        return [name for name, _ in self.by_name if _key(name) not in there]

    def said(self, names: Sequence[str]) -> tuple[list[LeadName | None], list[bool]]:
        """The lead that each channel is, or None, and whether the user says so."""
        if self.in_order:
            if len(self.in_order) != len(names):
                raise LeadError(
                    f"{len(self.in_order)} lead names are given for its {len(names)} signals "
                    f"({', '.join(map(repr, names))}). Name one for each, or as NAME=LEAD."
                )
            return list(map(_named, self.in_order)), [True] * len(names)
        if not self.by_name:
            return leads_of(names), [False] * len(names)
        given = list(map(self._of, names))
        read = leads_of([own or name for own, name in zip(given, names)])  # what is said tells of the others
        said = [own is not None for own in given]
        return [lead if own is None else _named(own) for own, lead in zip(given, read)], said

    def _of(self, name: str) -> str | None:
        """What the user says of a channel: under its name, else under that without its unit."""
        given = {_key(said): lead for said, lead in self.by_name}
        return next((given[key] for key in _keys(name) if key in given), None)


NOTHING_SAID = LeadNames()


@lru_cache(maxsize=64)  # the records of a corpus have the same few
def _find(lead_names: LeadNames, names: tuple[str, ...]) -> Mapping[str, Sequence[FoundLead]]:
    found: dict[str, list[FoundLead]] = {}
    own, said = lead_names.said(names)
    for position, (lead, is_said) in enumerate(zip(own, said)):
        if lead is not None:
            found.setdefault(lead.lead, []).append(FoundLead(position, lead.sign, is_said))
    return {lead: tuple(found[lead]) for lead in LEADS if lead in found}


def parse_lead_names(spec: Any) -> LeadNames:
    """What channels are, from what a command line or a caller says.

    Args:
        spec: "ECG=II,ECG2=V5"; leads in the order of the channels, "I,II,V5"; a mapping or a sequence that
            says the same; or a file with a line for each: NAME=LEAD, or a lead. "-aVR" is aVR negated, "none"
            a channel that is no lead. None: nothing.

    Raises:
        LeadError: a lead that does not exist, a channel named twice, or a file that cannot be read.
    """
    if spec is None or isinstance(spec, LeadNames):
        return spec or NOTHING_SAID
    if isinstance(spec, Mapping):
        return LeadNames(_once((str(name), str(lead)) for name, lead in spec.items()))
    if isinstance(spec, Path) or (isinstance(spec, str) and "=" not in spec and Path(spec).is_file()):
        try:
            lines = Path(spec).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeError) as error:
            raise LeadError(f"lead names {spec}: the file cannot be read as text ({error})") from None
        items = [line for line in lines if not line.startswith("#")]
    else:
        items = spec.split(",") if isinstance(spec, str) else [str(item) for item in spec]
    items = [item.strip() for item in items if item.strip()]
    if not any("=" in item for item in items):
        return LeadNames(in_order=tuple(_canonical(item) for item in items))
    pairs = [item.rpartition("=") for item in items]
    unclear = next((item for item, pair in zip(items, pairs) if not pair[0]), None)
    if unclear is not None:
        raise LeadError(f"lead names {spec}: {unclear!r} is not NAME=LEAD, such as ECG2=V5")
    return LeadNames(_once((name, lead) for name, _, lead in pairs))


def _once(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    checked: dict[str, tuple[str, str]] = {}
    for name, lead in pairs:
        if _key(name) in checked:
            raise LeadError(f"lead names: the channel {name.strip()!r} is named more than once")
        checked[_key(name)] = name.strip(), _canonical(lead)
    return tuple(checked.values())


def _canonical(text: str) -> str:
    """The lead as it is written here: "II", "-aVR" or "none"."""
    if text.strip().lower() in (NO_LEAD, ""):
        return NO_LEAD
    lead = lead_of(text)
    if lead is None:
        hint = did_you_mean(text.strip(), LEADS) or "."
        raise LeadError(
            f"lead names: {text.strip()!r} is not a lead{hint} The leads are {', '.join(LEADS)}, each "
            f"also with a minus in front; {NO_LEAD!r} leaves a channel out."
        )
    return lead.lead if lead.sign > 0 else f"-{lead.lead}"


def _named(text: str) -> LeadName | None:
    return None if text == NO_LEAD else lead_of(text)


def _keys(name: str) -> tuple[str, str]:
    key = _key(name)
    text, unit = split_unit(key)
    is_unit = millivolt_per(unit) is not None and (len(unit) > 1 or key[-1] in ")]")  # "ECG V" is a lead
    return key, text if is_unit else key


def _key(name: str) -> str:
    return " ".join(name.lower().split())
