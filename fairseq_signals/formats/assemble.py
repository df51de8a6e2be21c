"""From the channels of a file, whatever its format, to the leads of a `Record`."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.leads import (
    INDEPENDENT_LEADS,
    LEADS,
    LIMB_LEADS,
    by_canonical_lead,
    derive_limb_leads,
)
from fairseq_signals.ecg.record import MAX_FS, MIN_FS, NOBODY, LeadNote, Record, Subject
from fairseq_signals.ecg.resample import resample
from fairseq_signals.ecg.units import INT16_MAX, millivolt_per, quantise
from fairseq_signals.errors import SignalError

MIN_STEP_MV, MAX_STEP_MV = 1e-20, 1e6  # of a stored unit: wide, but nothing overflows or vanishes in float32
_LARGEST = 1e30  # of a float that can be a sample; damaged files have larger ones


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
    """

    name: str
    values: np.ndarray
    mv_per_unit: float | None
    offset_mv: float = 0.0
    adc_gain: float = 1.0
    missing: int | None = None
    fs: float | None = None
    unit: str = ""

    @classmethod
    def in_unit(
        cls, name: str, values: np.ndarray, step: float | None, unit: str, offset: float = 0.0
    ) -> Channel:
        """A channel whose value 1 is `step`, and 0 is `offset`, in the unit of the file; None: unknown."""
        mv_per_unit = millivolt_per(unit)
        if mv_per_unit is None or step is None:
            return cls(name, values, None, unit=unit if step is not None else "")
        return cls(name, values, step * mv_per_unit, offset * mv_per_unit)


class _Stored(NamedTuple):
    """A lead as int16, its mV per unit, and whether it lost precision."""

    values: np.ndarray
    scale: float
    lossy: bool


def assemble(
    record_id: str,
    fs: float,
    channels: Sequence[Channel],
    subject: Subject = NOBODY,
    report: str | None = None,
    notes: Sequence[str] = (),
) -> Record:
    """The record that the channels of a file make.

    Leads are found by name; one that has missing samples, is constant or has no unit is left out and noted.
    Where a file names the eight independent leads (I, II, V1-V6), the other limb leads that it does not name
    are computed from I and II.

    Args:
        fs: sampling rate of the record, Hz; channels of another rate are resampled to it.
        report: what the file says about the recording.
        notes: what its reader chose or joined, a sentence each.

    Raises:
        SignalError: none of the twelve leads is there or can be used, one has no gain, their lengths differ,
            or the sampling rate cannot be right.
    """
    names = [channel.name for channel in channels]
    found = require_leads(record_id, names)
    if not MIN_FS <= fs <= MAX_FS:
        raise SignalError(
            f"record {record_id}: the sampling rate in its header is {fs:g} Hz, outside "
            f"{MIN_FS:g}-{MAX_FS:g} Hz. Correct the header if it is wrong.",
            kind="with an unexpected sampling rate",
        )
    extremes = _extremes([channels[positions[0]].values for positions in found.values()])
    faults: list[LeadNote] = []
    stored: dict[str, _Stored] = {}
    converted: list[str] = []
    for (lead, (first, *others)), (low, high) in zip(found.items(), extremes):
        for other in others:
            faults.append(LeadNote(lead, f"signal {other} has the same name; signal {first} is kept"))
        reason = _fault(channels[first], low, high, record_id, lead)
        if reason is None:
            stored[lead] = _to_int16(channels[first], low, high, fs)
            if channels[first].fs not in (None, fs):
                converted.append(f"{lead}: resampled from {channels[first].fs:g} Hz")
        else:
            faults.append(LeadNote(lead, reason))
    used = {p for positions in found.values() for p in positions}
    ignored = tuple(
        LeadNote(name, "not one of the 12 leads") for p, name in enumerate(names) if p not in used
    )
    _require_one_length(record_id, stored)
    derived = _derive(stored, found.keys(), faults)
    stored.update(derived)
    leads = tuple(lead for lead in LEADS if lead in stored)
    _require_leads(record_id, {lead: stored[lead].scale for lead in leads}, faults)
    return Record(
        record_id,
        fs,
        leads,
        signal=np.array([stored[lead].values for lead in leads]),
        scale=np.array([stored[lead].scale for lead in leads]),
        subject=subject,
        faults=tuple(faults),
        ignored=ignored,
        requantised=any(one.lossy for one in stored.values()),
        derived=tuple(derived),
        report=report or None,
        notes=(*notes, *converted),
    )


def require_leads(record_id: str, names: Sequence[str]) -> dict[str, list[int]]:
    """The positions of each of the twelve leads among the channels of a file; refused where there is none."""
    if found := by_canonical_lead(names):
        return found
    listed = ", ".join(repr(name) for name in names[:15]) or "none"
    raise SignalError(
        f"record {record_id}: none of its {len(names)} signals is one of the 12 leads ({listed}). "
        f"Correct the lead names in the header, or add the spelling to the aliases in ecg/leads.py.",
        kind="without any of the 12 leads",
    )


def _extremes(rows: list[np.ndarray]) -> list[tuple[float, float]]:
    """The lowest and the highest value of each row (T,), NaN where one is; (0, 0) where T is 0.

    Short rows that are alike are looked at together: there, a call takes longer than its work.
    """
    together = len({(row.dtype.char, len(row)) for row in rows}) == 1 and len(rows[0]) < 2**15
    found: list[tuple[float, float]] = []
    for block in [np.array(rows)] if together else [row[None] for row in rows]:  # (L, T)
        low, high = (block.min(axis=1), block.max(axis=1)) if block.size else (np.zeros(len(block)),) * 2
        found += zip(low.tolist(), high.tolist())
    return found


def _fault(channel: Channel, low: float, high: float, record_id: str, lead: str) -> str | None:
    """Why a channel, whose values are from `low` to `high`, cannot be used, or None."""
    if channel.mv_per_unit is None:
        return f"its unit {channel.unit!r} is not a voltage" if channel.unit else "its unit is not known"
    if not math.isfinite(channel.mv_per_unit) or channel.mv_per_unit == 0:
        raise SignalError(
            f"record {record_id}: one unit of lead {lead} is {channel.mv_per_unit:g} mV in the file, so its "
            f"millivolts are unknown. Correct the file or leave it out.",
            kind="with zero gain",
        )
    if len(channel.values) == 0:
        return "no sample"
    n_missing = _n_missing(channel, low, high)
    if n_missing:
        return f"{n_missing} of {len(channel.values)} samples are missing (NaN)"
    if low == high:
        return f"constant at {low / channel.adc_gain * channel.mv_per_unit + channel.offset_mv:g} mV"
    return None


def _n_missing(channel: Channel, low: float, high: float) -> int:
    missing = channel.missing
    if low > -_LARGEST and high < _LARGEST and (missing is None or not low <= missing <= high):
        return 0
    invalid = ~(np.abs(channel.values) < _LARGEST)  # NaN is not below anything
    if missing is not None:
        invalid |= channel.values == missing
    return int(invalid.sum())


def _to_int16(channel: Channel, low: float, high: float, fs: float) -> _Stored:
    """A usable channel, whose values are from `low` to `high`, at the sampling rate `fs`."""
    values, gain, mv_per_unit = channel.values, channel.adc_gain, channel.mv_per_unit
    assert mv_per_unit is not None
    own_fs = fs if channel.fs is None else channel.fs
    if own_fs == fs and channel.offset_mv == 0 and values.dtype.kind in "iu":
        if low >= -INT16_MAX and high <= INT16_MAX:
            return _Stored(values.astype(np.int16, copy=False), mv_per_unit / gain, False)
        factor = max(-low, high) / INT16_MAX
        return _Stored(np.rint(values / factor).astype(np.int16), factor * mv_per_unit / gain, True)
    mv = values.astype(np.float64) / gain * mv_per_unit + channel.offset_mv
    if own_fs == fs:
        return _in_steps(mv, mv_per_unit / gain)
    return _Stored(*quantise(resample(mv, own_fs, fs), 0.0))


def _in_steps(mv: np.ndarray, step_mv: float) -> _Stored:
    """A lead in steps of the ADC, or half of them: the even ranges of EDF put the zero between two values."""
    whole = quantise(mv, step_mv)
    return _Stored(*(quantise(mv, step_mv / 2) if whole[2] and step_mv else whole))


def _require_one_length(record_id: str, stored: dict[str, _Stored]) -> None:
    if len({len(one.values) for one in stored.values()}) > 1:
        listed = ", ".join(f"{lead} {len(one.values)}" for lead, one in stored.items())
        raise SignalError(
            f"record {record_id}: its leads have different numbers of samples ({listed}), so they were not "
            f"recorded at the same time. Export it with simultaneous leads.",
            kind="with leads of different lengths",
        )


def _derive(stored: dict[str, _Stored], named: Collection[str], faults: list[LeadNote]) -> dict[str, _Stored]:
    """Those of III, aVR, aVL and aVF that follow from I and II and that the file does not name.

    Where I and II have the same step, III has it too and the others half of it, without loss where that fits
    16 bits. One that is constant is noted in `faults`.
    """
    absent = [lead for lead in LIMB_LEADS if lead not in named]
    if not absent or "I" not in stored or "II" not in stored or not set(INDEPENDENT_LEADS) <= set(named):
        return {}
    i, ii = stored["I"], stored["II"]
    limb_mv = dict(zip(LIMB_LEADS, derive_limb_leads(i.values * i.scale, ii.values * ii.scale)))
    derived = {}
    for lead in absent:
        mv = limb_mv[lead]
        one = _in_steps(mv, i.scale if i.scale == ii.scale else 0.0) if mv.min() < mv.max() else None
        if one is not None and one.values.min() < one.values.max():
            derived[lead] = one
        else:
            value_mv = float(mv[0]) + 0.0 if one is None else float(one.values[0]) * one.scale
            faults.append(LeadNote(lead, f"constant at {value_mv:g} mV"))
    return derived


def _require_leads(record_id: str, scales: dict[str, float], faults: list[LeadNote]) -> None:
    """Refuse a record of which nothing can be used, or a gain cannot be right."""
    if not scales:
        why = "; ".join(f"{fault.lead}: {fault.reason}" for fault in faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise SignalError(f"record {record_id}: no usable lead ({why}{more}).", kind="without a usable lead")
    for lead, step in scales.items():
        if not MIN_STEP_MV <= abs(step) <= MAX_STEP_MV:
            raise SignalError(
                f"record {record_id}: one unit of lead {lead} would be {abs(step):g} mV, which no ECG has. "
                f"Correct its gain or unit.",
                kind="with an impossible gain",
            )
