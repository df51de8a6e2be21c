"""From the channels of a file, whatever its format, to the leads of a `Record`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairseq_signals.ecg.header import Subject
from fairseq_signals.ecg.leads import CHEST_LEADS, LEADS, LIMB_LEADS, by_canonical_lead, derive_limb_leads
from fairseq_signals.ecg.record import (
    NOBODY,
    LeadNote,
    Record,
    constant_reason,
    finish,
    missing_reason,
    quantise,
)
from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import SignalError

INDEPENDENT_LEADS = ("I", "II", *CHEST_LEADS)
_INT16_MAX = 32767
_LARGEST = 1e30  # of a float that can be a sample; damaged files have larger ones


@dataclass(frozen=True)
class Channel:
    """One channel as the file has it: millivolt = value * mv_per_unit + offset_mv.

    Attributes:
        name: as in the file.
        values: (T,) integer or float.
        mv_per_unit: millivolt per unit of `values`; None where that is unknown.
        offset_mv: millivolt of the value 0.
        missing: (T,) bool, True where there is no valid sample; None where all are. NaN is missing as well.
        fs: sampling rate in Hz where it is not that of the record.
        unit: as in the file, for the message where `mv_per_unit` is None.
    """

    name: str
    values: np.ndarray
    mv_per_unit: float | None
    offset_mv: float = 0.0
    missing: np.ndarray | None = None
    fs: float | None = None
    unit: str = ""


def assemble(
    record_id: str,
    fs: float,
    channels: Sequence[Channel],
    subject: Subject = NOBODY,
    report: str | None = None,
) -> Record:
    """The record that the channels of a file make.

    Leads are found by name; one that has missing samples, is constant or has no unit is left out and noted.
    Where a file names the eight independent leads (I, II, V1-V6), the other limb leads that it does not name
    are computed from I and II.

    Args:
        record_id: for messages and the result.
        fs: sampling rate of the record, Hz; channels of another rate are resampled to it.
        channels: in the order of the file.
        subject: what the file says of the person.
        report: what the file says about the recording.

    Raises:
        SignalError: none of the twelve leads is there or can be used, one has no gain, their lengths differ,
            or the sampling rate cannot be right.
    """
    names = [channel.name for channel in channels]
    found = by_canonical_lead(names)
    if not found:
        raise without_leads(record_id, names)
    faults: list[LeadNote] = []
    stored: dict[str, tuple[np.ndarray, float]] = {}
    requantised = False
    for lead, positions in found.items():
        channel = channels[positions[0]]
        faults += [
            LeadNote(lead, f"channel {p} has the same name; channel {positions[0]} is kept")
            for p in positions[1:]
        ]
        reason = _fault(channel, record_id, lead)
        if reason is not None:
            faults.append(LeadNote(lead, reason))
            continue
        values, scale, lossy = _to_int16(channel, fs)
        stored[lead] = values, scale
        requantised |= lossy
    used = {p for positions in found.values() for p in positions}
    ignored = tuple(
        LeadNote(name, "not one of the 12 leads") for p, name in enumerate(names) if p not in used
    )
    _require_one_length(record_id, stored)
    derived: list[str] = []
    absent = [lead for lead in LIMB_LEADS if lead not in found]
    if absent and all(lead in found for lead in INDEPENDENT_LEADS) and "I" in stored and "II" in stored:
        for lead, (values, scale, lossy) in _derive(stored["I"], stored["II"], absent).items():
            if values.min() == values.max():
                faults.append(LeadNote(lead, constant_reason(float(values[0]) * scale)))
                continue
            stored[lead] = values, scale
            derived.append(lead)
            requantised |= lossy
    leads = [lead for lead in LEADS if lead in stored]
    signal = np.stack([stored[lead][0] for lead in leads]) if leads else np.zeros((0, 0), np.int16)
    scales = np.array([stored[lead][1] for lead in leads])
    record = finish(record_id, fs, leads, signal, scales, faults, requantised)
    return replace(record, subject=subject, ignored=ignored, derived=tuple(derived), report=report or None)


def without_leads(record_id: str, names: Sequence[str]) -> SignalError:
    """The error for a file of which no channel is one of the twelve leads."""
    listed = ", ".join(repr(name) for name in names[:15]) or "none"
    return SignalError(
        f"record {record_id}: none of its {len(names)} channels is one of the 12 leads ({listed}). "
        f"If one is, add its spelling to the aliases in ecg/leads.py.",
        kind="without any of the 12 leads",
    )


def _fault(channel: Channel, record_id: str, lead: str) -> str | None:
    """Why a channel cannot be used, or None."""
    if channel.mv_per_unit is None:
        return f"its unit {channel.unit!r} is not a voltage" if channel.unit else "its unit is not known"
    if not np.isfinite(channel.mv_per_unit) or channel.mv_per_unit == 0:
        raise SignalError(
            f"record {record_id}: one unit of lead {lead} is {channel.mv_per_unit:g} mV in the file, so its "
            f"millivolts are unknown. Correct the file or leave it out.",
            kind="with zero gain",
        )
    n_samples = len(channel.values)
    if n_samples == 0:
        return "no sample"
    n_missing = 0 if channel.missing is None else int(channel.missing.sum())
    if channel.values.dtype.kind == "f":
        invalid = ~(np.abs(channel.values) < _LARGEST)
        n_missing = int((invalid if channel.missing is None else invalid | channel.missing).sum())
    if n_missing:
        return missing_reason(n_missing, n_samples)
    if channel.values.min() == channel.values.max():
        return constant_reason(float(channel.values[0]) * channel.mv_per_unit + channel.offset_mv)
    return None


def _to_int16(channel: Channel, fs: float) -> tuple[np.ndarray, float, bool]:
    """A usable channel as int16, its mV per unit, and whether it lost precision."""
    lsb_mv = channel.mv_per_unit
    assert lsb_mv is not None
    values = channel.values
    if channel.fs is not None and channel.fs != fs:
        mv = resample(values.astype(np.float64) * lsb_mv + channel.offset_mv, channel.fs, fs)
        return quantise(mv, 0.0)
    if values.dtype.kind in "iu" and channel.offset_mv == 0:
        low, high = int(values.min()), int(values.max())
        if max(-low, high) <= _INT16_MAX:
            return values.astype(np.int16), lsb_mv, False
    mv = values.astype(np.float64) * lsb_mv + channel.offset_mv
    for step in (lsb_mv, lsb_mv / 2):  # the even ranges of EDF put the zero between two values
        stored = quantise(mv, step)
        if not stored[2]:
            break
    return stored


def _require_one_length(record_id: str, stored: dict[str, tuple[np.ndarray, float]]) -> None:
    lengths = {lead: len(values) for lead, (values, _) in stored.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{lead} {n}" for lead, n in lengths.items())
        raise SignalError(
            f"record {record_id}: its leads have different numbers of samples ({listed}), so they were not "
            f"recorded at the same time. Export it with simultaneous leads.",
            kind="with leads of different lengths",
        )


def _derive(
    lead_i: tuple[np.ndarray, float], lead_ii: tuple[np.ndarray, float], absent: Sequence[str]
) -> dict[str, tuple[np.ndarray, float, bool]]:
    """Those of III, aVR, aVL and aVF that are absent: int16, mV per unit, and whether they lost precision.

    Where I and II have the same step, III has it too and the others half of it, without loss where that fits
    16 bits.
    """
    (i, scale_i), (ii, scale_ii) = lead_i, lead_ii
    limb_mv = derive_limb_leads(i * scale_i, ii * scale_ii)
    steps = (scale_i, scale_i / 2) if scale_i == scale_ii else (0.0,)
    derived = {}
    for lead in absent:
        mv = limb_mv[LIMB_LEADS.index(lead)]
        if mv.min() == mv.max():
            derived[lead] = np.zeros(len(mv), np.int16), 1.0, False
            continue
        for step in steps:
            derived[lead] = quantise(mv, step)
            if not derived[lead][2]:
                break
    return derived
