"""Records that need the wfdb library: other formats, several files, frames, skew, several segments."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fairseq_signals.ecg.header import Header, SignalLine, parse_comments, read_header
from fairseq_signals.ecg.record import (
    LeadNote,
    Record,
    constant_reason,
    finish,
    missing_reason,
    mv_per,
    quantise,
    select_leads,
    truncated,
)
from fairseq_signals.errors import SignalError


def read_single_segment(header: Header, record_id: str, selected: dict[str, int]) -> Record:
    """The selected leads of a record with one segment.

    Args:
        header: its header.
        record_id: for messages and the result.
        selected: position of each lead among the signals, as from `select_leads`.
    """
    lines = {lead: header.signals[position] for lead, position in selected.items()}
    channels = _read_channels(header, record_id, list(selected.values()))
    # Signals with skew are shifted to the left, which leaves nothing to put at their end.
    n_frames = min(
        _n_frames(values, line.samples_per_frame, line.skew) for values, line in zip(channels, lines.values())
    )
    return _assemble(header, record_id, header.fs, lines, channels, n_frames)


def read_multi_segment(header: Header, record_id: str) -> Record:
    """The twelve leads of a multi-segment record, segments joined; gaps are missing samples."""
    reference = _reference_segment(header)
    selected, faults, ignored = select_leads(reference.signals, record_id)
    lines = {lead: reference.signals[position] for lead, position in selected.items()}
    channels = _read_channels(header, record_id, list(selected.values()))
    n_frames = min(len(values) // line.samples_per_frame for values, line in zip(channels, lines.values()))
    record = _assemble(header, record_id, header.fs, lines, channels, n_frames)
    subject = parse_comments((*header.comments, *reference.comments))
    return Record(
        **{**record.__dict__, "subject": subject, "faults": (*faults, *record.faults), "ignored": ignored}
    )


def _reference_segment(header: Header) -> Header:
    """The first segment of a multi-segment record: it names the signals (the layout, where there is one)."""
    names = [name for name in header.segments if name != "~"]
    if not names:
        raise SignalError(f"{header.path}: a multi-segment record without a segment")
    return read_header(header.path.with_name(names[0] + ".hea"))


def _read_channels(header: Header, record_id: str, positions: list[int]) -> list[np.ndarray]:
    """Signals in physical units, one float array each, NaN where a sample is missing."""
    import wfdb  # here because it imports pandas

    name = os.fspath(header.path)[: -len(".hea")]
    try:
        record: Any = wfdb.rdrecord(name, channels=positions, physical=True, smooth_frames=False)
    except MemoryError:
        raise
    except Exception as e:  # whatever a parser can raise over a damaged file
        raise SignalError(
            f"record {record_id}: the wfdb library cannot read it ({type(e).__name__}: {e}). "
            f"Is a signal file truncated, or of another format than the header says? Download it again."
        ) from e
    channels = [np.asarray(values, dtype=np.float64) for values in record.e_p_signal]
    if header.n_samples is not None and channels:
        frames = min(len(v) // n for v, n in zip(channels, record.samps_per_frame))
        if frames < header.n_samples:
            raise truncated(record_id, ", ".join(header.signal_files), header.n_samples, frames)
    return channels


def _n_frames(values: np.ndarray, samples_per_frame: int, skew: int) -> int:
    """Frames up to where the signal's skew ran over the end of its file."""
    frames = len(values) // samples_per_frame
    return frames - skew if skew and frames and np.isnan(values[-1]) else frames


def _assemble(
    header: Header,
    record_id: str,
    frame_rate: float,
    lines: dict[str, SignalLine],
    channels: list[np.ndarray],
    n_frames: int,
) -> Record:
    """One record out of signals that may have different numbers of samples in a frame."""
    most = max(line.samples_per_frame for line in lines.values())
    keep, rows, scales, faults, requantised = [], [], [], [], False
    for (lead, line), values in zip(lines.items(), channels):
        values = values[: n_frames * line.samples_per_frame] * mv_per(line)
        n_missing = int(np.isnan(values).sum())
        if n_missing:
            faults.append(LeadNote(lead, missing_reason(n_missing, len(values))))
            continue
        if len(values) == 0 or values.min() == values.max():
            faults.append(LeadNote(lead, constant_reason(float(values[0])) if len(values) else "no sample"))
            continue
        lsb_mv = mv_per(line) / line.adc_gain
        if line.samples_per_frame != most:
            from fairseq_signals.ecg.resample import resample

            values = resample(values, line.samples_per_frame, most)
            lsb_mv = 0.0
        stored, scale, lossy = quantise(values, lsb_mv)
        keep.append(lead)
        rows.append(stored)
        scales.append(scale)
        requantised |= lossy
    signal = np.stack(rows) if rows else np.zeros((0, 0), np.int16)
    return finish(record_id, frame_rate * most, keep, signal, np.array(scales), faults, requantised)
