"""Records that need the wfdb library: other formats, several files, frames, skew, several segments."""

from __future__ import annotations

import os
import warnings
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
    no_usable_lead,
    quantise,
    select_leads,
)
from fairseq_signals.ecg.signal_files import signal_file_missing, truncated
from fairseq_signals.errors import SignalError

#: Of the formats whose samples have a fixed size; FLAC (508, 516, 524) is not among them.
_BITS_PER_SAMPLE = {
    **{"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16},
    **{"212": 12, "310": 32 / 3, "311": 32 / 3},
}


def read_single_segment(header: Header, record_id: str, selected: dict[str, int]) -> Record:
    """The selected leads of a record with one segment.

    Args:
        header: its header.
        record_id: for messages and the result.
        selected: position of each lead among the signals, as from `select_leads`.
    """
    _check_signal_files(header, record_id)
    lines = {lead: header.signals[position] for lead, position in selected.items()}
    channels = _read_channels(header, record_id, list(selected.values()))
    # Signals with skew are shifted to the left, which leaves nothing to put at their end.
    n_frames = min(
        _n_frames(values, line.samples_per_frame, line.skew) for values, line in zip(channels, lines.values())
    )
    return _assemble(header, record_id, header.fs, lines, channels, n_frames)


def read_multi_segment(header: Header, record_id: str) -> Record:
    """The twelve leads of a multi-segment record, segments joined; gaps are missing samples."""
    segments = [read_header(header.path.parent / f"{name}.hea") for name in header.segments if name != "~"]
    if not segments:
        raise SignalError(f"record {record_id}: a multi-segment record without a segment. Download it again.")
    for segment in segments:
        _check_signal_files(segment, record_id)
    reference = segments[0]  # it names the signals; in a variable layout it is the layout and has no samples
    selected, faults, ignored = select_leads(reference.signals, record_id)
    if not selected:
        raise no_usable_lead(record_id, faults)
    lines = {lead: reference.signals[position] for lead, position in selected.items()}
    channels = _read_channels(header, record_id, list(selected.values()))
    n_frames = min(len(values) // line.samples_per_frame for values, line in zip(channels, lines.values()))
    record = _assemble(header, record_id, header.fs, lines, channels, n_frames)
    subject = parse_comments((*header.comments, *reference.comments))
    return Record(
        **{**record.__dict__, "subject": subject, "faults": (*faults, *record.faults), "ignored": ignored}
    )


def _check_signal_files(header: Header, record_id: str) -> None:
    """Raise SignalError where a file is missing, or too short for what the header says is in it."""
    for name in header.signal_files:
        path = header.path.parent / name
        if not path.is_file():
            raise signal_file_missing(record_id, header, name)
        lines = [line for line in header.signals if line.file_name == name]
        bits = [_BITS_PER_SAMPLE.get(line.fmt) for line in lines]
        if header.n_samples is None or None in bits:
            continue
        bits_per_frame = sum(n * line.samples_per_frame for n, line in zip(bits, lines) if n is not None)
        available = max(0, path.stat().st_size - lines[0].byte_offset)
        if available < int(header.n_samples * bits_per_frame / 8):  # the last byte of format 212 may be half
            raise truncated(record_id, name, header.n_samples, int(available * 8 / bits_per_frame))


def _read_channels(header: Header, record_id: str, positions: list[int]) -> list[np.ndarray]:
    """Signals in physical units, one float array each, NaN where a sample is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, about wfdb's use of it
        import wfdb  # here because it imports pandas

    name = os.fspath(header.path)[: -len(".hea")]
    try:
        record: Any = wfdb.rdrecord(name, channels=positions, physical=True, smooth_frames=False)
        return [np.asarray(values, dtype=np.float64) for values in record.e_p_signal]
    except MemoryError:
        raise
    except Exception as e:  # whatever a parser can raise over a damaged file
        raise SignalError(
            f"record {record_id}: the wfdb library cannot read it ({type(e).__name__}: {e}). "
            f"Is a signal file truncated, or of another format than the header says? Download it again."
        ) from e


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
