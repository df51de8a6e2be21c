"""What WFDB headers announce, held against their signal files before the wfdb library gives memory to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.common import read_bytes, truncated
from fairseq_signals.formats.limits import require_held, require_length
from fairseq_signals.formats.options import ReadOptions
from fairseq_signals.formats.wfdb_header import Header

_FLAC = ("508", "516", "524")
_BYTES = 2  # of a sample, as a record has it


def require_possible(header: Header, record_id: str, options: ReadOptions) -> None:
    """Refuse a record of one segment that is longer than is read, or whose skew is longer than it is."""
    if header.n_samples is None:  # as long as its files, which may have holes
        n_bytes = sum(path.stat().st_size for path in _files(header))
        return require_length(record_id, n_bytes // _BYTES, header.fs, options)
    per_frame = sum(line.samples_per_frame for line in header.signals)
    require_length(record_id, header.n_samples * per_frame, header.fs, options)
    for line in header.signals:
        if line.skew > header.n_samples:
            raise _malformed(header, f"a skew of {line.skew} samples in {header.n_samples}")


def require_flac(header: Header, record_id: str, name: str) -> None:
    """Refuse a FLAC file that holds fewer samples than the header announces, or more than it can."""
    lines = [line for line in header.signals if line.file_name == name]
    if lines[0].fmt not in _FLAC:
        return
    import soundfile  # here because few records are compressed

    path = header.path.parent / name
    head = read_bytes(record_id, path, 4)
    if not head:
        raise truncated(record_id, path, header.n_samples or 1, 0)
    try:
        if head != b"fLaC":
            raise ValueError("it is none")
        with soundfile.SoundFile(str(path)) as stream:
            n_frames, n_channels = stream.frames, stream.channels
        require_held(name, n_frames * n_channels * _BYTES, path.stat().st_size)
    except (RuntimeError, ValueError) as error:  # soundfile's own are RuntimeErrors
        raise SignalError(
            f"record {record_id}: the FLAC file {name} cannot be read ({error}). Download it again."
        ) from error
    n_samples = (header.n_samples or 0) * lines[0].samples_per_frame + lines[0].byte_offset
    if n_samples > n_frames:
        raise truncated(record_id, path, n_samples, n_frames)


def require_segments(
    header: Header, segments: Sequence[Header], record_id: str, options: ReadOptions
) -> None:
    """Refuse a record whose segments, gaps included, are longer than is read, or than their files can be.

    Args:
        header: of the record.
        segments: the headers of those that are no gaps.
    """
    nested = next((segment.path.name for segment in segments if segment.segments), None)
    if nested is not None:
        raise _malformed(header, f"its segment {nested} has segments itself")
    for segment in segments:
        require_possible(segment, record_id, options)
    n_samples = max(header.n_samples or 0, sum(header.segment_samples))
    n_values = n_samples * max(len(segment.signals) for segment in segments)
    require_length(record_id, n_values, header.fs, options)
    files = {path for segment in segments for path in _files(segment)}
    try:
        require_held("the record", n_values * _BYTES, sum(path.stat().st_size for path in files))
    except ValueError as error:
        raise _malformed(header, str(error)) from error


def _files(header: Header) -> list[Path]:
    paths = (header.path.parent / name for name in header.signal_files)
    return [path for path in paths if path.is_file()]


def _malformed(header: Header, what: str) -> SignalError:
    return SignalError(
        f"{header.path}: {what}, which cannot be. Restore it from the original download.",
        kind="with a malformed header",
    )
