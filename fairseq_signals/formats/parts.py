"""Files that hold several sets of channels: which are the recording, and what is said of the others.

Multiplex groups of DICOM, sets of sequences of aECG, waveforms of MUSE, leads of SCP-ECG that start apart.
One rule for all: what was recorded over the same time is one recording. Of parts of other times, the set with
most leads is read, of these the one with most samples, of these the first. Where pieces follow one another
beside a strip over the whole time (a page of 3 x 4 leads), the strip is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import numpy as np

from fairseq_signals.ecg.lead_names import FoundLead
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.record import NOBODY, LeadNote, Record, Subject
from fairseq_signals.errors import SignalError, without_record
from fairseq_signals.formats.assemble import NOT_A_LEAD, Channel, assemble, require_leads
from fairseq_signals.formats.options import DEFAULTS, MAX_GAP_S, ReadOptions

AVERAGED = "averaged beats are not read"
MAX_APART_S = MAX_GAP_S  #: between starts or ends of what was recorded over the same time
_MAX_TOLD = 10  # of parts whose leads are read elsewhere


class Part(NamedTuple):
    """Channels of one rate over one time.

    Attributes:
        label: what it is called in messages, such as "multiplex group 2 (RHYTHM)".
        names: of its channels, as in the file.
        fs: Hz; 0 where the file does not say.
        n_samples: of each channel.
        read: gives the channels; only parts that are used are read.
        start_s: when it begins, on a clock of the file; None where the file does not say.
        original: False for what was computed from a recording: it comes after what was not.
    """

    label: str
    names: Sequence[str]
    fs: float
    n_samples: int
    read: Callable[[], list[Channel]]
    start_s: float | None = None
    original: bool = True


class _Timed(NamedTuple):
    """A part with leads: its position, its leads, and when it begins and ends."""

    position: int
    part: Part
    leads: dict[str, list[FoundLead]]
    start_s: float
    end_s: float


def assemble_parts(
    record_id: str,
    parts: Sequence[Part],
    what: str,
    subject: Subject = NOBODY,
    report: str | None = None,
    notes: Sequence[str] = (),
    options: ReadOptions = DEFAULTS,
) -> Record:
    """The record that the parts of a file make, see `assemble`.

    Args:
        what: the parts are, for the notes, such as "multiplex groups".

    Raises:
        SignalError: see `assemble`.
    """
    found = require_leads(record_id, [name for part in parts for name in part.names], options)
    timed = _timed(parts, found)
    chosen = _choose(timed)
    channels, of_lead, cut = _join(chosen)
    labels = tuple(dict.fromkeys(one.part.label for one in chosen))
    n_labels = len({part.label for part in parts})
    said = [*notes, *cut]
    if n_labels > 1:
        said.insert(0, f"read are {len(labels)} of its {n_labels} {what}: {', '.join(labels)}")
    fs = max(one.part.fs for one in chosen)
    record = assemble(record_id, fs, channels, subject, report, said, options, of_lead)
    return _with_left_out(record, parts, timed, chosen)


def channels_of_each(
    record_id: str, leads: Sequence[Any], name_of: Callable[[Any], str], read: Callable[[Any], Channel]
) -> list[Channel]:
    """The channels of leads; one that cannot be read has no samples, and says why.

    Raises:
        SignalError: none can be read.
    """
    channels: list[Channel] = []
    errors: list[SignalError] = []
    for lead in leads:
        try:
            channels.append(read(lead))
        except SignalError as error:
            errors.append(error)
            reason = without_record(error, record_id)
            channels.append(Channel(name_of(lead), np.zeros(0), None, fault=reason))
    if errors and len(errors) == len(leads):
        raise errors[0]
    return channels


def _timed(parts: Sequence[Part], found: Mapping[str, Sequence[FoundLead]]) -> list[_Timed]:
    """The parts that have leads; positions of leads are those in their part."""
    of_part: list[dict[str, list[FoundLead]]] = [{} for _ in parts]
    home = [(p, i) for p, part in enumerate(parts) for i in range(len(part.names))]
    for lead, those in found.items():
        for one in those:
            p, i = home[one.position]
            of_part[p].setdefault(lead, []).append(one._replace(position=i))
    having = [p for p in range(len(parts)) if of_part[p]]
    lengths = [parts[p].n_samples / parts[p].fs if parts[p].fs else 0.0 for p in having]
    starts = _starts([parts[p].start_s for p in having], lengths)
    return [
        _Timed(p, parts[p], of_part[p], start, start + length)
        for p, start, length in zip(having, starts, lengths)
    ]


def _starts(said: Sequence[float | None], lengths: Sequence[float]) -> list[float]:
    """When parts begin. What does not say it begins with the first.

    Where none says it (or all say 0, as writers do that do not know), and the shorter ones together are as
    long as the longest, they follow one another.
    """
    known = [start for start in said if start is not None]
    if any(known):
        return [min(known) if start is None else start for start in said]
    longest = max(lengths)
    pieces = [length if length < longest - MAX_APART_S else 0.0 for length in lengths]
    if sum(map(bool, pieces)) > 1 and abs(sum(pieces) - longest) <= MAX_APART_S:
        return [end - piece if piece else 0.0 for piece, end in zip(pieces, accumulate(pieces))]
    return [0.0] * len(lengths)


def _choose(timed: Sequence[_Timed]) -> list[_Timed]:
    """The parts that are the recording."""
    sets = [_complementary(members) for members in _by_time(timed)]
    strip = max(sets, key=lambda one: (one[0].end_s - one[0].start_s, -one[0].position))
    if _is_page(strip[0], sets):
        return strip

    def rank(one: Sequence[_Timed]) -> tuple[bool, bool, int, int, int]:
        first = one[0]
        has_length = first.end_s > first.start_s
        n_leads = len(set().union(*(member.leads for member in one)))
        n_samples = max(m.part.n_samples for m in one)
        return has_length, first.part.original, n_leads, n_samples, -min(m.position for m in one)

    return max(sets, key=rank)


def _by_time(timed: Sequence[_Timed]) -> list[list[_Timed]]:
    """Parts that begin and end together, in the order of the first of each."""
    sets: list[list[_Timed]] = []
    near: dict[tuple[int, int], list[_Timed]] = {}
    for one in timed:
        cell = math.floor(one.start_s / MAX_APART_S), math.floor(one.end_s / MAX_APART_S)
        around = (near.get((cell[0] + i, cell[1] + j)) for i, j in product((0, -1, 1), repeat=2))
        home = next(
            (members for members in around if members and _apart(members[0], one) <= MAX_APART_S), None
        )
        if home is None:
            home = near[cell] = []
            sets.append(home)
        home.append(one)
    return sets


def _apart(a: _Timed, b: _Timed) -> float:
    return round(max(abs(a.start_s - b.start_s), abs(a.end_s - b.end_s)), 6)


def _complementary(members: Sequence[_Timed]) -> list[_Timed]:
    """Of parts over the same time those that are needed for all of their leads, in the order of the file."""
    kept: list[_Timed] = []
    for one in sorted(members, key=lambda m: (not m.part.original, -len(m.leads), -m.part.fs, m.position)):
        if not kept or set(one.leads) - set().union(*(other.leads for other in kept)):
            kept.append(one)
    return sorted(kept, key=lambda m: (not m.part.original, m.position))


def _is_page(strip: _Timed, sets: Sequence[Sequence[_Timed]]) -> bool:
    """Whether pieces of other leads follow one another within the time of this part."""
    within = [
        one[0]
        for one in sets
        if one[0].start_s > strip.start_s - MAX_APART_S
        and one[0].end_s < strip.end_s + MAX_APART_S
        and one[0] is not strip
    ]
    within.sort(key=lambda piece: piece.start_s)
    return any(
        a.end_s <= b.start_s + MAX_APART_S and not set(a.leads) & set(b.leads) for a, b in pairwise(within)
    )


def _join(chosen: Sequence[_Timed]) -> tuple[list[Channel], dict[str, list[FoundLead]], list[str]]:
    """The channels of parts over the same time, where each lead is among them, and what was cut off."""
    begin, end = max(one.start_s for one in chosen), min(one.end_s for one in chosen)
    channels: list[Channel] = []
    found: dict[str, list[FoundLead]] = {}
    for one in chosen:
        first = round((begin - one.start_s) * one.part.fs)
        last = first + round((end - begin) * one.part.fs)
        for lead, those in one.leads.items():
            moved = [each._replace(position=len(channels) + each.position) for each in those]
            found.setdefault(lead, []).extend(moved)
        for channel in one.part.read():
            values = channel.values if len(chosen) == 1 else channel.values[first:last]
            channels.append(channel._replace(values=values, fs=channel.fs or one.part.fs))
    apart = max(max(begin - one.start_s, one.end_s - end) for one in chosen)
    cut = f"parts that begin or end up to {_number(apart * 1000)} ms apart are cut to the time they share"
    by_lead = {lead: found[lead] for lead in LEADS if lead in found}
    return channels, by_lead, [cut] if apart > 1e-6 else []


# --- what is said of the parts that are left out ---------------------------------------------------------


def _with_left_out(
    record: Record, parts: Sequence[Part], timed: Sequence[_Timed], chosen: Sequence[_Timed]
) -> Record:
    """The record, with notes of every lead and channel of the parts that it was not made of."""
    read = {one.position for one in chosen}
    left_out = [one for one in timed if one.position not in read]
    clock = min(one.start_s for one in timed)
    places: dict[str, list[str]] = {}
    again: list[LeadNote] = []
    for one in left_out:
        reason = _reason(one, chosen[0], clock)
        there = [lead for lead in one.leads if lead in record.leads]
        for lead in one.leads.keys() - there:
            places.setdefault(lead, []).append(f"in {one.part.label}, {reason}")
        if there:
            again.append(LeadNote(f"{', '.join(there)} of {one.part.label}", reason))
    faults = [LeadNote(lead, "; ".join(_first(places[lead], 3))) for lead in LEADS if lead in places]
    leads_of = {
        one.position: {each.position for those in one.leads.values() for each in those} for one in timed
    }
    others = [
        LeadNote(name, NOT_A_LEAD)
        for p, part in enumerate(parts)
        if p not in read
        for i, name in enumerate(part.names)
        if i not in leads_of.get(p, ())
    ]
    if len(again) > _MAX_TOLD:
        again[_MAX_TOLD:] = [LeadNote(f"{len(again) - _MAX_TOLD} more parts", "likewise")]
    return replace(
        record,
        faults=(*record.faults, *faults),
        ignored=(*record.ignored, *again, *dict.fromkeys(others)),
    )


def _reason(one: _Timed, read: _Timed, clock: float) -> str:
    if one.end_s == one.start_s:
        return "the file does not say how long it is"
    if _apart(one, read) <= MAX_APART_S:
        return "over the same time the same leads are read"
    if abs(one.start_s - read.start_s) <= MAX_APART_S:
        lasts = [_number(each.end_s - each.start_s) for each in (one, read)]
        return f"it lasts {lasts[0]} s, and what is read {lasts[1]} s"
    times = [f"{_number(e.start_s - clock)} s to {_number(e.end_s - clock)} s" for e in (one, read)]
    return f"recorded at another time: {times[0]}; what is read: {times[1]}"


def _first(texts: Sequence[str], n: int) -> list[str]:
    """The first of several sentences, and how many more there are."""
    return [*texts[:n], *([f"and {len(texts) - n} more"] if len(texts) > n else [])]


def _number(value: float) -> str:
    return f"{round(value, 3):g}"
