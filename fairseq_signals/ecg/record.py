"""Read one recording: any WFDB record to int16 leads in canonical order, lossless where 16 bits allow.

Records in the common formats (16, as in `.dat` and in the `.mat` files of the PhysioNet/CinC challenges, and
61, 80 and 212) are read with numpy alone; all others go through the wfdb library, imported when needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.header import Header, SignalLine, Subject, parse_comments, read_header
from fairseq_signals.ecg.leads import by_canonical_lead
from fairseq_signals.ecg.signal_files import is_direct, missing_value, read_adu
from fairseq_signals.errors import SignalError

MIN_FS, MAX_FS = 50.0, 20_000.0  # Hz; outside, the header is wrong or the record is not an ECG
MIN_STEP_MV, MAX_STEP_MV = 1e-20, 1e6  # of a stored unit: wide, but nothing overflows or vanishes in float32

NOBODY = Subject()

_INT16_MAX = 32767


class LeadNote(NamedTuple):
    """A lead or channel that is not in the record, and why."""

    lead: str
    reason: str


@dataclass(frozen=True)
class Record:
    """A recording, ready to be stored.

    Attributes:
        record_id: what the caller calls it.
        fs: sampling rate in Hz.
        leads: canonical names of the usable leads, in canonical order.
        signal: (L, T) int16; millivolt = signal * scale[:, None].
        scale: (L,) float64, mV per stored unit.
        subject: age, sex, codes and patient number from the header comments, or where the format has them.
        faults: leads of the twelve that were left out (constant, missing samples, ...).
        ignored: channels that are not one of the twelve leads.
        damaged: leads of the file whose samples do not add up to the checksum in the header.
        requantised: True where the values did not fit 16 bits and were rounded to 1/32767 of the peak.
        derived: leads that are not in the file and were computed from I and II.
        report: statements about the recording, or None.
    """

    record_id: str
    fs: float
    leads: tuple[str, ...]
    signal: np.ndarray
    scale: np.ndarray
    subject: Subject = NOBODY
    faults: tuple[LeadNote, ...] = ()
    ignored: tuple[LeadNote, ...] = ()
    damaged: tuple[LeadNote, ...] = ()
    requantised: bool = False
    derived: tuple[str, ...] = ()
    report: str | None = None

    @property
    def n_samples(self) -> int:
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.fs

    def signal_mv(self) -> np.ndarray:
        """The leads in millivolt, (L, T) float64."""
        return self.signal * self.scale[:, None]


def read_record(path: Path, record_id: str | None = None) -> Record:
    """The usable leads of a WFDB record.

    Args:
        path: the header, with or without ".hea".
        record_id: name for messages and for the result; the file name without ".hea" by default.

    Raises:
        SignalError: the record cannot be used; the message names it, the reason and what to do.
    """
    path = path if path.suffix.lower() == ".hea" else path.with_name(path.name + ".hea")
    record_id = path.name[: -len(".hea")] if record_id is None else record_id
    if path.suffix != ".hea":
        raise SignalError(
            f"record {record_id}: the suffix of its header {path} must be in lower case; rename it to "
            f"{path.stem}.hea",
            kind="of an unsupported kind",
        )
    header = read_header(path)
    if header.segments:
        from fairseq_signals.ecg.wfdb_reader import read_multi_segment

        return read_multi_segment(header, record_id)
    selected, faults, ignored = select_leads(header.signals, record_id)
    if not selected:
        raise no_usable_lead(record_id, faults)
    if is_direct(header):
        record = _read_direct(header, record_id, selected)
    else:
        from fairseq_signals.ecg.wfdb_reader import read_single_segment

        record = read_single_segment(header, record_id, selected)
    return replace(
        record, subject=parse_comments(header.comments), faults=(*faults, *record.faults), ignored=ignored
    )


def select_leads(
    signals: tuple[SignalLine, ...], record_id: str
) -> tuple[dict[str, int], tuple[LeadNote, ...], tuple[LeadNote, ...]]:
    """Which signal is which lead.

    Returns:
        The position of each of the twelve leads present, in canonical order; leads that the header makes
        unusable; and signals that are not one of the twelve.

    Raises:
        SignalError: none of the twelve is there, or one has no gain.
    """
    names = [s.description for s in signals]
    found = by_canonical_lead(names)
    if not found:
        listed = ", ".join(repr(name) for name in names[:15])
        raise SignalError(
            f"record {record_id}: none of its {len(names)} signals is one of the 12 leads ({listed}). "
            f"Correct the lead names in the header, or add the spelling to the aliases in ecg/leads.py.",
            kind="without any of the 12 leads",
        )
    selected, faults = {}, []
    for lead, positions in found.items():
        first = signals[positions[0]]
        if first.mv_per_unit is None:
            faults.append(LeadNote(lead, f"its unit {first.units!r} is not a voltage"))
            continue
        if first.adc_gain == 0 or not np.isfinite(1 / first.adc_gain) or not np.isfinite(first.adc_gain):
            raise SignalError(
                f"record {record_id}: the gain of lead {lead} is {first.adc_gain:g} in the header, so its "
                f"millivolts are unknown. Write the gain (adu/mV) into the header.",
                kind="with zero gain",
            )
        selected[lead] = positions[0]
        faults += [
            LeadNote(lead, f"signal {p} has the same name; signal {positions[0]} is kept")
            for p in positions[1:]
        ]
    used = {p for positions in found.values() for p in positions}
    ignored = [LeadNote(name, "not one of the 12 leads") for p, name in enumerate(names) if p not in used]
    return selected, tuple(faults), tuple(ignored)


# --- formats that are decoded here -----------------------------------------------------------------------


def _read_direct(header: Header, record_id: str, selected: dict[str, int]) -> Record:
    positions = list(selected.values())
    adu = read_adu(header, record_id, positions)  # (L, T)
    n_samples = adu.shape[1]
    low, high = adu.min(axis=1).tolist(), adu.max(axis=1).tolist()
    damaged = _compare_checksums(adu, {lead: header.signals[p] for lead, p in selected.items()})

    keep, rows, scale, faults, requantised = [], [], [], [], False
    for i, (lead, position) in enumerate(selected.items()):
        line = header.signals[position]
        missing = missing_value(line.fmt)
        if low[i] <= missing:
            faults.append(LeadNote(lead, missing_reason(int((adu[i] == missing).sum()), n_samples)))
            continue
        if low[i] == high[i]:
            faults.append(
                LeadNote(lead, constant_reason((low[i] - line.baseline) / line.adc_gain * mv_per(line)))
            )
            continue
        row, factor = adu[i], 1.0
        if line.baseline != 0:
            row, factor = _subtract(row, line.baseline, low[i], high[i])
            requantised |= factor != 1.0
        keep.append(lead)
        rows.append(row)
        scale.append(factor * mv_per(line) / line.adc_gain)
    if len(keep) == len(adu) and all(row.base is adu for row in rows):
        signal = adu
    else:
        signal = np.stack(rows) if rows else np.zeros((0, n_samples), np.int16)
    record = finish(record_id, header.fs, keep, signal, np.array(scale), faults, requantised)
    return replace(record, damaged=damaged)


def _compare_checksums(adu: np.ndarray, lines: dict[str, SignalLine]) -> tuple[LeadNote, ...]:
    """Leads whose samples (L, T) do not add up to the checksum in the header: modulo 2 ** 16, header(5).

    A checksum of 0 is what programs write that do not compute it; it is not compared.
    """
    sums = np.add.reduce(adu, axis=1, dtype=np.int16).tolist()  # int16 wraps as the checksum does
    return tuple(
        LeadNote(lead, f"its samples add up to {found}, but the checksum in the header is {line.checksum}")
        for (lead, line), found in zip(lines.items(), sums)
        if line.checksum and (line.checksum - found) % 2**16
    )


def mv_per(line: SignalLine) -> float:
    """Millivolt per physical unit of a signal that `select_leads` accepted."""
    factor = line.mv_per_unit
    assert factor is not None
    return factor


def _subtract(adu: np.ndarray, baseline: int, low: int, high: int) -> tuple[np.ndarray, float]:
    """`adu` - `baseline` as int16, and adu per stored unit: 1 where the difference fits 16 bits."""
    peak = max(abs(low - baseline), abs(high - baseline))
    if peak <= _INT16_MAX:
        return (adu.astype(np.int32) - baseline).astype(np.int16), 1.0
    factor = peak / _INT16_MAX
    return np.rint((adu.astype(np.float64) - baseline) / factor).astype(np.int16), factor


# --- shared with the other readers ------------------------------------------------------------------------


def missing_reason(n_missing: int, n_samples: int) -> str:
    return f"{n_missing} of {n_samples} samples are missing (NaN)"


def constant_reason(value_mv: float) -> str:
    return f"constant at {value_mv:g} mV"


def quantise(mv: np.ndarray, lsb_mv: float) -> tuple[np.ndarray, float, bool]:
    """A lead (T,) in mV as int16, its mV per unit, and whether it lost precision.

    Multiples of `lsb_mv`, the step of the ADC, that fit 16 bits are kept exactly; anything else is rounded to
    1/32767 of the peak.
    """
    if lsb_mv:
        units = mv / lsb_mv
        rounded = np.rint(units)
        if np.abs(rounded).max() <= _INT16_MAX and np.abs(units - rounded).max() < 1e-3:
            return rounded.astype(np.int16), lsb_mv, False
    scale = float(np.abs(mv).max()) / _INT16_MAX
    return np.rint(mv / scale).astype(np.int16), scale, True


def finish(
    record_id: str,
    fs: float,
    leads: list[str],
    signal: np.ndarray,
    scale: np.ndarray,
    faults: list[LeadNote],
    requantised: bool,
) -> Record:
    """The record, unless nothing of it can be used or its sampling rate or a gain cannot be right."""
    if not MIN_FS <= fs <= MAX_FS:
        raise SignalError(
            f"record {record_id}: the sampling rate in its header is {fs:g} Hz, outside "
            f"{MIN_FS:g}-{MAX_FS:g} Hz. Correct the header if it is wrong.",
            kind="with an unexpected sampling rate",
        )
    if not leads:
        raise no_usable_lead(record_id, faults)
    for lead, step in zip(leads, np.abs(scale).tolist()):
        if not MIN_STEP_MV <= step <= MAX_STEP_MV:
            raise SignalError(
                f"record {record_id}: one unit of lead {lead} would be {step:g} mV, which no ECG has. "
                f"Correct its gain or unit.",
                kind="with an impossible gain",
            )
    return Record(record_id, fs, tuple(leads), signal, scale, faults=tuple(faults), requantised=requantised)


def no_usable_lead(record_id: str, faults: Sequence[LeadNote]) -> SignalError:
    """The error for a record all of whose leads have faults."""
    why = "; ".join(f"{fault.lead}: {fault.reason}" for fault in faults[:3])
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return SignalError(f"record {record_id}: no usable lead ({why}{more}).", kind="without a usable lead")
