"""Segments of a WFDB record: alike, or refused. The wfdb library joins them whatever their headers say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fairseq_signals.ecg.record import LeadNote
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.wfdb_header import Header


def require_alike(header: Header, segments: Sequence[Header], record_id: str) -> list[LeadNote]:
    """Refuse a record whose segments differ in what their samples mean.

    Args:
        segments: the headers of those that are no gaps, in a variable layout that of the layout first.

    Returns:
        Signals of segments which the layout does not name, so that they are not read.
    """
    first, beyond = segments[0], []
    is_layout = all(line.file_name == "~" for line in first.signals)
    for segment in segments:
        for what in _differences(header, first, segment, is_layout):
            raise SignalError(
                f"record {record_id}: segment {segment.path.stem} {what}. Joined, they would be something "
                f"else. Read its segments as records of their own.",
                kind="of an unsupported kind",
            )
        reason = f"in segment {segment.path.stem}; the layout has no such signal"
        beyond += [LeadNote(one, reason) for one in _names(segment) if one not in _names(first)]
    return beyond


def _differences(header: Header, first: Header, segment: Header, is_layout: bool) -> Iterator[str]:
    if not math.isclose(segment.fs, header.fs, rel_tol=1e-6):
        yield f"has {segment.fs:g} Hz, the record {header.fs:g} Hz"
    if not is_layout and _names(segment) != _names(first):
        names = [", ".join(map(repr, _names(one))) for one in (segment, first)]
        yield f"has the signals {names[0]}, but {first.path.stem} {names[1]}"
    by_name = {line.description: line for line in first.signals}
    named = [(by_name[one.description], one) for one in segment.signals if one.description in by_name]
    for there, here in named if is_layout else zip(first.signals, segment.signals):
        what, of = here.description, first.path.stem
        if there.mv_per_unit != here.mv_per_unit or (there.mv_per_unit is None and there.units != here.units):
            yield f"has {what} in {here.units}, but {of} in {there.units}"
        if there.adc_gain and not here.adc_gain:
            yield f"has no gain for {what}, but {of} one of {there.adc_gain:g}"
        if there.samples_per_frame != here.samples_per_frame:
            frames = here.samples_per_frame, there.samples_per_frame
            yield f"has {frames[0]} samples of {what} a frame, but {of} {frames[1]}"


def _names(header: Header) -> list[str]:
    return [line.description for line in header.signals]
