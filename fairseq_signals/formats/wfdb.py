"""WFDB records.

Records in the common formats (16, as in `.dat` and in the `.mat` files of the PhysioNet/CinC challenges, and
61, 80 and 212) are read with numpy alone, ten times as fast as by the wfdb library; all others (formats,
frames, skew, several segments) go through the library, imported when needed.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import LeadNote, Record
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel, assemble, require_leads
from fairseq_signals.formats.common import truncated
from fairseq_signals.formats.compressed import inner_path
from fairseq_signals.formats.detect import HEADER, header_of
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.published import NOTE, halving, is_doubled
from fairseq_signals.formats.wfdb_comments import parse_comments
from fairseq_signals.formats.wfdb_files import at_hand, is_in_place
from fairseq_signals.formats.wfdb_header import Header, SignalLine, read_header
from fairseq_signals.formats.wfdb_limits import require_flac, require_possible, require_segments
from fairseq_signals.formats.wfdb_segments import require_alike
from fairseq_signals.formats.wfdb_signals import (
    is_direct,
    missing_value,
    read_adu,
    signal_file_missing,
)

#: Of the formats whose samples have a fixed size; FLAC (508, 516, 524) is not among them.
_BITS_PER_SAMPLE = {
    **{"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16},
    **{"212": 12, "310": 32 / 3, "311": 32 / 3},
}
_NO_SAMPLE = np.zeros(0, np.int16)


def read_wfdb(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The usable leads of a WFDB record, named by its header with or without ".hea".

    Gaps between segments are missing samples.
    """
    path = path if path.suffix.lower() == HEADER else header_of(path) or path.with_name(path.name + HEADER)
    record_id = inner_path(path).name[: -len(HEADER)] if record_id is None else record_id
    header = read_header(path)
    if header.path == path and is_in_place(header):
        return _read(header, record_id, [], options)
    with at_hand(header, record_id) as (copy, notes):
        return _read(copy, record_id, notes, options)


def _read(header: Header, record_id: str, notes: list[str], options: ReadOptions) -> Record:
    beyond: list[LeadNote] = []
    reference = header  # it names the signals
    if header.segments:
        reference, beyond = _first_segment(header, record_id, options)
    else:
        require_possible(header, record_id, options)
    found = require_leads(record_id, [line.description for line in reference.signals], options)
    first = {lead: positions[0].position for lead, positions in found.items()}
    leads = {lead: at for lead, at in first.items() if reference.signals[at].mv_per_unit is not None}
    fs = header.fs
    read: list[Channel] = []
    damaged: tuple[LeadNote, ...] = ()
    if leads and reference is header and is_direct(header):
        read, damaged = _read_directly(header, record_id, leads)
    elif leads:
        read, fs = _read_by_library(header, reference, record_id, leads)
    of_lead = dict(zip(leads.values(), read))
    channels = [
        of_lead[p] if p in of_lead else Channel(line.description, _NO_SAMPLE, None, unit=line.units)
        for p, line in enumerate(reference.signals)
    ]
    comments = header.comments if reference is header else (*header.comments, *reference.comments)
    subject = parse_comments(comments)
    if is_doubled(fs, subject):
        options, notes = halving(options), [*notes, NOTE]
    record = assemble(record_id, fs, channels, subject, notes=notes, options=options, found=found)
    if damaged or beyond:
        return replace(record, damaged=damaged, ignored=(*record.ignored, *beyond))
    return record


def _first_segment(header: Header, record_id: str, options: ReadOptions) -> tuple[Header, list[LeadNote]]:
    """The header of the first segment, in a variable layout that of the layout, and what is not read.

    That all segments are alike and their files whole is checked.
    """
    segments = [
        read_header(header.path.parent / f"{name}{HEADER}") for name in header.segments if name != "~"
    ]
    if not segments:
        raise SignalError(f"record {record_id}: a multi-segment record without a segment. Download it again.")
    require_segments(header, segments, record_id, options)
    beyond = require_alike(header, segments, record_id)
    for segment in segments:
        _check_signal_files(segment, record_id)
    return segments[0], beyond


def _channel(
    line: SignalLine, values: np.ndarray, missing: int | None = None, fs: float | None = None
) -> Channel:
    """A signal whose `values` (T,) are ADC units without the baseline."""
    return Channel(line.description, values, line.mv_per_unit, 0.0, line.adc_gain, missing, fs, line.units)


# --- formats that are decoded here -----------------------------------------------------------------------


def _read_directly(
    header: Header, record_id: str, leads: dict[str, int]
) -> tuple[list[Channel], tuple[LeadNote, ...]]:
    """The leads, and those whose samples do not add up to the checksum in the header.

    Checksums are modulo 2 ** 16, header(5). One of 0 is what programs write that do not compute it; it is not
    compared.
    """
    lines = [header.signals[position] for position in leads.values()]
    adu = read_adu(header, record_id, list(leads.values()))  # (L, T) int16
    sums = np.add.reduce(adu, axis=1, dtype=np.int16).tolist()  # int16 wraps as the checksum does
    damaged = tuple(
        LeadNote(lead, f"its samples add up to {found}, but the checksum in the header is {line.checksum}")
        for lead, line, found in zip(leads, lines, sums)
        if line.checksum and (line.checksum - found) % 2**16
    )
    baselines = [line.baseline for line in lines]
    values = adu if not any(baselines) else _without(adu, baselines)
    channels = [
        _channel(line, row, missing_value(line.fmt) - line.baseline) for line, row in zip(lines, values)
    ]
    return channels, damaged


def _without(adu: np.ndarray, baselines: list[int]) -> np.ndarray:
    """Samples (L, T) int16 without the baseline of their lead; in 16 bits where they fit, then in place."""
    low, high = adu.min(axis=1).tolist(), adu.max(axis=1).tolist()
    if all(a - b >= -(2**15) and c - b < 2**15 for a, b, c in zip(low, baselines, high)):
        adu -= np.array(baselines, np.int64).astype(np.int16)[:, None]  # wraps to the right value
        return adu
    wide = np.int32 if max(map(abs, baselines)) < 2**30 else np.float64
    return adu - np.array(baselines, wide)[:, None]


# --- all others ------------------------------------------------------------------------------------------


def _read_by_library(
    header: Header, reference: Header, record_id: str, leads: dict[str, int]
) -> tuple[list[Channel], float]:
    """The leads, and the highest of their sampling rates, Hz; they may differ in the samples of a frame."""
    if reference is header:
        _check_signal_files(header, record_id)
    lines = [reference.signals[position] for position in leads.values()]
    if "~" in header.segments and any(line.file_name != "~" for line in reference.signals):
        signals = _physical_with_gaps(header, lines, record_id, list(leads.values()))
    else:
        signals = _physical(header.path, record_id, list(leads.values()))
    # Signals with skew are shifted to the left, which leaves nothing to put at their end.
    n_frames = min(
        _n_frames(values, line.samples_per_frame, line.skew if reference is header else 0)
        for values, line in zip(signals, lines)
    )
    channels = [
        _channel(line, values[: n_frames * n] * line.adc_gain, fs=header.fs * n)
        for values, line in zip(signals, lines)
        for n in [line.samples_per_frame]
    ]
    return channels, header.fs * max(line.samples_per_frame for line in lines)


def _check_signal_files(header: Header, record_id: str) -> None:
    """Raise SignalError where a file is missing, or too short for what the header says is in it."""
    for name in header.signal_files:
        path = header.path.parent / name
        if not os.path.isfile(path):
            raise signal_file_missing(record_id, header, name)
        require_flac(header, record_id, name)
        lines = [line for line in header.signals if line.file_name == name]
        bits = [_BITS_PER_SAMPLE.get(line.fmt) for line in lines]
        if header.n_samples is None or None in bits:
            continue
        bits_per_frame = sum(n * line.samples_per_frame for n, line in zip(bits, lines) if n is not None)
        available = max(0, path.stat().st_size - lines[0].byte_offset)
        if available < int(header.n_samples * bits_per_frame / 8):  # the last byte of format 212 may be half
            raise truncated(record_id, path, header.n_samples, int(available * 8 / bits_per_frame))


def _physical_with_gaps(
    header: Header, lines: list[SignalLine], record_id: str, positions: list[int]
) -> list[np.ndarray]:
    """The signals of segments that are alike, which the library joins only where no gap is between them."""
    pieces = [
        [np.full(n * line.samples_per_frame, np.nan) for line in lines]
        if name == "~"
        else _physical(header.path.with_name(name + HEADER), record_id, positions)
        for name, n in zip(header.segments, header.segment_samples)
    ]
    return [np.concatenate(those) for those in zip(*pieces)]


def _physical(header: Path, record_id: str, positions: list[int]) -> list[np.ndarray]:
    """Signals in physical units, one float array each, NaN where a sample is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, about wfdb's use of it
        import wfdb  # here because it imports pandas

    name = os.fspath(header)[: -len(HEADER)]
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
