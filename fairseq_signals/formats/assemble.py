"""From the channels of a file, whatever its format, to the leads of a `Record`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.lead_names import FoundLead
from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, LEADS, LIMB_LEADS, derive_limb_leads
from fairseq_signals.ecg.record import MAX_FS, MIN_FS, NOBODY, LeadNote, Record, Subject
from fairseq_signals.ecg.resample import resample
from fairseq_signals.ecg.units import (
    INT16_MAX,
    Stored,
    exactly,
    in_steps,
    millivolt_per,
    offsets,
    quantise,
    stacked,
)
from fairseq_signals.errors import LeadError, SignalError
from fairseq_signals.formats.gaps import Lead, extremes_of, may_be_missing, mend
from fairseq_signals.formats.lengths import one_length
from fairseq_signals.formats.limits import require_length
from fairseq_signals.formats.options import DEFAULTS, REFUSE, ReadOptions

MIN_STEP_MV, MAX_STEP_MV = 1e-20, 1e6  # of a stored unit: wide, but nothing overflows or vanishes in float32
NOT_A_LEAD = "not one of the 12 leads"
IMPOSSIBLE = "which no ECG has"
NO_GAIN = "the file gives it no gain, so its millivolts are unknown"


class Channel(NamedTuple):
    """One channel as the file has it: millivolt = value / adc_gain * mv_per_unit + offset_mv.

    Attributes:
        name: as in the file.
        values: (T,) integer or float.
        mv_per_unit: millivolt per physical unit; None where that is unknown.
        offset_mv: millivolt of the value 0.
        adc_gain: values per physical unit.
        missing: the value where there is no valid sample; None where all are. NaN is missing as well.
        fs: sampling rate in Hz where it is not that of the record.
        unit: as in the file, for the message where `mv_per_unit` is None.
        fault: why it cannot be used, where its reader knows.
    """

    name: str
    values: np.ndarray
    mv_per_unit: float | None
    offset_mv: float = 0.0
    adc_gain: float = 1.0
    missing: int | None = None
    fs: float | None = None
    unit: str = ""
    fault: str = ""

    @classmethod
    def in_unit(
        cls, name: str, values: np.ndarray, step: float | None, unit: str, offset: float = 0.0
    ) -> Channel:
        """A channel whose value 1 is `step`, and 0 is `offset`, in the unit of the file; None: unknown."""
        mv_per_unit = millivolt_per(unit)
        if mv_per_unit is None or step is None:
            return cls(name, values, None, unit=unit if step is not None else "")
        return cls(name, values, step * mv_per_unit, offset * mv_per_unit)


def assemble(
    record_id: str,
    fs: float,
    channels: Sequence[Channel],
    subject: Subject = NOBODY,
    report: str | None = None,
    notes: Sequence[str] = (),
    options: ReadOptions = DEFAULTS,
    found: Mapping[str, Sequence[FoundLead]] | None = None,
) -> Record:
    """The record that the channels of a file make.

    Leads are found by name; one that lacks samples (see `mend`), is constant or has no unit or gain is left
    out and noted. Where a file names the eight independent leads (I, II, V1-V6), the other limb leads that it
    does not name are computed from I and II.

    Args:
        fs: sampling rate of the record, Hz; channels of another rate are resampled to it.
        report: what the file says about the recording.
        notes: what its reader chose or joined, a sentence each.
        options: what the user says of names, gaps and amplitude.
        found: where each lead is among the channels, if more than their names tells of it.

    Raises:
        SignalError: none of the twelve leads is there or can be used, their lengths differ, or the sampling
            rate cannot be right.
    """
    names = [channel.name for channel in channels]
    found = require_leads(record_id, names, options) if found is None else found
    require_length(record_id, sum(len(channel.values) for channel in channels), fs, options)
    said = list(notes)
    faults: list[LeadNote] = []
    leads: dict[str, Channel] = {}
    for lead, those in found.items():
        first = those[0]
        for other in those[1:]:
            reason = f"signal {other.position} has the same name; signal {first.position} is kept"
            faults.append(LeadNote(lead, reason))
        leads[lead] = channel = _scaled(channels[first.position], first.sign * options.amplitude_scale)
        if first.sign < 0:
            said.append(f"{lead}: read from the signal {channel.name!r}, its sign turned")
        elif first.said:
            said.append(f"{lead}: the signal {channel.name!r}, as lead_names says")
    stored = _usable(leads, fs, options, faults, said)
    lengths = {lead: len(one.values) for lead, one in stored.items()}
    if len(set(lengths.values())) > 1:
        common = one_length(record_id, fs, lengths)
        faults += (LeadNote(*each) for each in common.reasons.items())
        said += common.notes
        kept = {lead: one for lead, one in stored.items() if lead not in common.reasons}
        stored = {lead: one._replace(values=one.values[: common.n_samples]) for lead, one in kept.items()}
    derived = _derive(stored, found.keys(), faults, options.exact)
    stored.update(derived)
    if any(one.is_exact for one in stored.values()):
        stored = {lead: one if one.is_exact else exactly(one.mv()) for lead, one in stored.items()}
    used = {one.position for those in found.values() for one in those}
    in_order = [lead for lead in LEADS if lead in stored]
    if not in_order:
        raise _no_usable_lead(record_id, faults)
    return Record(
        record_id,
        fs,
        tuple(in_order),
        signal=stacked([stored[lead].values for lead in in_order]),
        scale=np.array([stored[lead].scale for lead in in_order]),
        offset=offsets(stored[lead] for lead in in_order),
        subject=subject,
        faults=tuple(faults),
        ignored=tuple(LeadNote(name, NOT_A_LEAD) for p, name in enumerate(names) if p not in used),
        requantised=any(one.lossy for one in stored.values()),
        derived=tuple(derived),
        report=report or None,
        amplitude_factor=options.amplitude_scale,
        notes=tuple(said),
    )


def require_leads(
    record_id: str, names: Sequence[str], options: ReadOptions = DEFAULTS
) -> Mapping[str, Sequence[FoundLead]]:
    """Where each of the twelve leads is among the channels of a file; refused where there is none."""
    try:
        found = options.lead_names.find(names)
    except LeadError as error:
        raise SignalError(f"record {record_id}: {error}", kind="without any of the 12 leads") from error
    if found:
        return found
    listed = ", ".join(repr(name) for name in names[:15]) or "none"
    unused = ", ".join(map(repr, options.lead_names.unused(names)))
    named = f"; lead_names has {unused}, which is none of them" if unused else ""
    likely = next((name for name in names if re.search("E[CK]G", name, re.I)), names[0] if names else "ECG")
    raise SignalError(
        f"record {record_id}: none of its {len(names)} signals is one of the 12 leads ({listed}){named}. Say "
        f"which they are with --lead-names (lead_names= in Python), such as '{likely}=II'.",
        kind="without any of the 12 leads",
    )


def _scaled(channel: Channel, factor: float) -> Channel:
    if factor == 1 or channel.mv_per_unit is None:
        return channel
    return channel._replace(mv_per_unit=channel.mv_per_unit * factor, offset_mv=channel.offset_mv * factor)


def _usable(
    leads: dict[str, Channel], fs: float, options: ReadOptions, faults: list[LeadNote], said: list[str]
) -> dict[str, Stored]:
    """The leads that can be used; why others cannot is added to `faults`, what was done to them to `said`."""
    reasons = {lead: reason for lead, channel in leads.items() if (reason := _fault(channel))}
    used = {lead: channel for lead, channel in leads.items() if lead not in reasons}
    extremes = dict(zip(used, extremes_of([channel.values for channel in used.values()])))
    if any(may_be_missing(channel.missing, *extremes[lead]) for lead, channel in used.items()):
        mended = mend(
            {lead: Lead(one.values, one.missing, one.fs or fs) for lead, one in used.items()},
            options.gaps == REFUSE,
        )
        reasons.update(mended.reasons)
        said += mended.notes
        used = {lead: used[lead]._replace(values=values) for lead, values in mended.values.items()}
        extremes = dict(zip(used, extremes_of([channel.values for channel in used.values()])))
    stored: dict[str, Stored] = {}
    for lead, channel in used.items():
        low, high = extremes[lead]
        assert channel.mv_per_unit is not None
        if low == high:
            mv = low / channel.adc_gain * channel.mv_per_unit + channel.offset_mv
            reasons[lead] = f"constant at {mv:g} mV"
            continue
        one = _to_int16(channel, low, high, fs)
        if not MIN_STEP_MV <= abs(one.scale) <= MAX_STEP_MV:
            reasons[lead] = f"one unit of it would be {abs(one.scale):g} mV, {IMPOSSIBLE}"
            continue
        stored[lead] = exactly(_at_rate(channel, fs)) if options.exact and one.lossy else one
        if channel.fs not in (None, fs):
            said.append(f"{lead}: resampled from {channel.fs:g} Hz")
    faults += (LeadNote(lead, reasons[lead]) for lead in leads if lead in reasons)
    return stored


def _fault(channel: Channel) -> str | None:
    """Why a channel cannot be used whatever its samples are, or None."""
    if channel.fault:
        return channel.fault
    if channel.mv_per_unit is None:
        return f"its unit {channel.unit!r} is not a voltage" if channel.unit else "its unit is not known"
    step = channel.mv_per_unit / channel.adc_gain if channel.adc_gain else math.inf
    if not math.isfinite(step) or step == 0:
        return NO_GAIN
    if abs(step) > MAX_STEP_MV:
        return f"one unit of it would be {abs(step):g} mV, {IMPOSSIBLE}"
    if not math.isfinite(channel.offset_mv):
        return "the file gives it no zero, so its millivolts are unknown"
    if not len(channel.values):
        return "no sample"
    if channel.fs is not None and not MIN_FS <= channel.fs <= MAX_FS:
        return f"its sampling rate is {channel.fs:g} Hz, which no ECG has"
    return None


def _to_int16(channel: Channel, low: float, high: float, fs: float) -> Stored:
    """A usable channel, whose values are from `low` to `high`, at the sampling rate `fs`."""
    values, gain, mv_per_unit = channel.values, channel.adc_gain, channel.mv_per_unit
    assert mv_per_unit is not None
    is_at_rate = channel.fs in (None, fs)
    if is_at_rate and channel.offset_mv == 0 and values.dtype.kind in "iu":
        if low >= -INT16_MAX and high <= INT16_MAX:
            return Stored(values.astype(np.int16, copy=False), mv_per_unit / gain)
        if high - low > max(-low, high):  # around 0
            factor = max(-low, high) / INT16_MAX
            return Stored(np.rint(values / factor).astype(np.int16), factor * mv_per_unit / gain, lossy=True)
    mv = _at_rate(channel, fs)
    return in_steps(mv, mv_per_unit / gain) if is_at_rate else quantise(mv, 0.0)


def _at_rate(channel: Channel, fs: float) -> np.ndarray:
    """The samples of a usable channel in mV at the sampling rate `fs`, (T,) float64."""
    assert channel.mv_per_unit is not None
    mv = channel.values.astype(np.float64) / channel.adc_gain * channel.mv_per_unit + channel.offset_mv
    return mv if channel.fs in (None, fs) else resample(mv, channel.fs, fs)


def _derive(
    stored: dict[str, Stored], named: Collection[str], faults: list[LeadNote], exact: bool
) -> dict[str, Stored]:
    """Those of III, aVR, aVL and aVF that follow from I and II and that the file does not name.

    Where I and II have the same step, III has it too and the others half of it, without loss where that fits
    16 bits. One that is constant is noted in `faults`.
    """
    absent = [lead for lead in LIMB_LEADS if lead not in named]
    if not absent or "I" not in stored or "II" not in stored or not set(INDEPENDENT_LEADS) <= set(named):
        return {}
    i, ii = stored["I"], stored["II"]
    step_mv = i.scale if i.scale == ii.scale and not i.is_exact else 0.0
    limb_mv = dict(zip(LIMB_LEADS, derive_limb_leads(i.mv(), ii.mv())))
    derived = {}
    for lead in absent:
        mv = limb_mv[lead]
        one = in_steps(mv, step_mv) if mv.min() < mv.max() else None
        if one is not None and one.values.min() < one.values.max():
            derived[lead] = exactly(mv) if exact and one.lossy else one
        else:
            value_mv = float(mv[0]) + 0.0 if one is None else float(one.mv()[0])
            faults.append(LeadNote(lead, f"constant at {value_mv:g} mV"))
    return derived


def _no_usable_lead(record_id: str, faults: list[LeadNote]) -> SignalError:
    why = "; ".join(f"{fault.lead}: {fault.reason}" for fault in faults[:3])
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    kinds = {NO_GAIN: "with zero gain", IMPOSSIBLE: "with an impossible gain"}
    shared = (kind for end, kind in kinds.items() if all(one.reason.endswith(end) for one in faults))
    kind = next(shared, "without a usable lead")
    return SignalError(
        f"record {record_id}: no usable lead ({why}{more}). "
        "Leave it out; a wrong gain or unit can be corrected in its file.",
        kind=kind,
    )
