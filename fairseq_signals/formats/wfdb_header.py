"""WFDB header files (.hea): record line, signal lines, and comments by keyword.

Written from the WFDB description header(5), https://physionet.org/physiotools/wag/header-5.htm, and lenient
where the PhysioNet/CinC challenges were: a record name may end in ".mat", and what stands where the time and
date should be is not looked at (`E00271.mat 12 500 5000 05-May-2020 14:50:55`).
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import SignalError
from fairseq_signals.files import open_file
from fairseq_signals.formats.common import of_another_format
from fairseq_signals.formats.compressed import GZ
from fairseq_signals.formats.limits import HEADER_BYTES, read_up_to, require_size
from fairseq_signals.formats.signatures import HEAD, format_of

_UNSTATED_FS = 250.0  # Hz, where the record line ends before the sampling rate: header(5)
DEFAULT_GAIN = 200.0  # adu per unit, where a signal line ends before the gain: header(5)

_LARGEST = 2**31  # of an ADC's values

_STORAGE = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_CALIBRATION = re.compile(r"([^(/]+)(?:\((-?\d+)\))?(?:/(\S+))?")
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_BLANKS = re.compile(r"[ \t\v\f]+")  # not those of str.split, which has more: 0x85 is one in Latin-1


class SignalLine(NamedTuple):
    """How one signal is stored.

    Attributes:
        file_name: the signal file, in the folder of the header; "~" for a gap.
        fmt: storage format, such as "16", "212" or "516".
        samples_per_frame, skew, byte_offset: as in the header; 1, 0 and 0 where it does not say.
        adc_gain: adu per physical unit.
        baseline: adu that stand for 0 physical units.
        units: physical unit as written; "mV" where the header does not say.
        checksum: sum of the samples modulo 2 ** 16; None where the header does not say.
        description: what the signal is; the name of the lead in an ECG.
    """

    file_name: str
    fmt: str
    samples_per_frame: int = 1
    skew: int = 0
    byte_offset: int = 0
    adc_gain: float = DEFAULT_GAIN
    baseline: int = 0
    units: str = "mV"
    description: str = ""
    checksum: int | None = None

    @property
    def mv_per_unit(self) -> float | None:
        """Millivolt in one physical unit, or None where the unit is not a voltage."""
        return millivolt_per(self.units)


@dataclass(frozen=True)
class Header:
    """A header file.

    Attributes:
        path: the .hea file.
        fs: frames per second; a signal has `samples_per_frame` times as many samples.
        n_samples: samples per signal (of those with one sample a frame); None where the header does not say.
        signals: one entry a signal; empty for a multi-segment record.
        segments: names of the segments of a multi-segment record ("~" for a gap), else empty.
        segment_samples: frames of each of them.
        comments: what follows "#", without it.
    """

    path: Path
    fs: float
    n_samples: int | None
    signals: tuple[SignalLine, ...]
    segments: tuple[str, ...]
    comments: tuple[str, ...]
    segment_samples: tuple[int, ...] = ()

    @property
    def signal_files(self) -> tuple[str, ...]:
        """The distinct signal files that the header names."""
        return tuple(dict.fromkeys(s.file_name for s in self.signals if s.file_name != "~"))


def read_header(path: Path) -> Header:
    """The contents of a header file, of a compressed one under its name without `.gz`.

    Raises:
        SignalError: the file is missing, is not a WFDB header, or a field cannot be read.
    """
    try:
        with open_file(path, buffering=0) as f:
            require_size(path.stem, path.name, os.fstat(f.fileno()).st_size, HEADER_BYTES)
            data = header_bytes(f, path)
    except FileNotFoundError:
        raise SignalError(
            f"{path}: there is no such header. A WFDB record needs its .hea file beside its signal file.",
            kind="without a header",
        ) from None
    except OSError as e:
        raise SignalError(f"{path}: the header cannot be read ({e.strerror or e})") from e
    try:
        return parse_header(decode(data), path.with_suffix("") if path.suffix.lower() == GZ else path)
    except SignalError as error:
        if not data or (format_of(data[:HEAD]) is None and data.strip(b"\0")):
            raise
        raise of_another_format(path.stem, path, "a WFDB header") from error


def header_bytes(file: IO[bytes], path: Path) -> bytes:
    """What a header file holds, decompressed if its name ends in `.gz`; of a larger one the beginning.

    Raises:
        OSError: it cannot be read, or is not what gzip makes.
    """
    if path.suffix.lower() != GZ:
        return read_up_to(file, HEADER_BYTES)
    try:
        return gzip.GzipFile(fileobj=file).read(HEADER_BYTES)
    except (EOFError, zlib.error) as error:
        raise gzip.BadGzipFile(str(error)) from error


def decode(data: bytes) -> str:
    """The text of a header: UTF-8, UTF-16, or else Latin-1 (old files write the micro sign so)."""
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        if 0 in data[:2]:
            return data.decode("utf-16-le" if data[0] else "utf-16-be")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_header(text: str, path: Path) -> Header:
    """The contents of a header given as text; `path` is where its signal files are looked for."""
    lines, comments = split_comments(text)
    if not lines:
        raise _malformed(path, "it is empty")
    fields = split_fields(lines[0])
    try:
        _, _, n_segments = fields[0].partition("/")
        n_signals = int(fields[1])
        fs = float(fields[2].partition("/")[0]) if len(fields) > 2 else _UNSTATED_FS
        n_samples = int(fields[3]) if len(fields) > 3 else None
        count = int(n_segments) if n_segments else n_signals
        if n_signals < 0 or count < 0 or (n_samples or 0) < 0:
            raise ValueError("a negative number")
    except (IndexError, ValueError):
        raise _malformed(path, f"the record line {lines[0]!r} is not 'name signals rate samples'") from None
    if len(lines) - 1 < count:
        what = "segments" if n_segments else "signals"
        raise _malformed(path, f"it announces {count} {what}, but {len(lines) - 1} lines follow")
    body = lines[1 : 1 + count]
    segments = tuple(split_fields(line)[0] for line in body) if n_segments else ()
    if any("/" in segment or "\0" in segment for segment in segments):
        raise _malformed(path, "a segment's name is not that of a file beside it")
    signals = () if n_segments else tuple(_signal_line(line, path) for line in body)
    files = {line.file_name for line in signals} - {"~"}
    n_beyond = sum(split_fields(line)[0] in files for line in lines[1 + count :])
    if n_beyond:  # without them, the samples of a frame would be taken for those of other signals
        raise _malformed(
            path, f"it announces {count} signals, but {count + n_beyond} lines of signals follow"
        )
    if len(set(segments) - {"~"}) < len(segments) - segments.count("~"):
        raise _malformed(path, "a segment is listed twice")
    lengths = tuple(_segment_samples(line, path) for line in body) if n_segments else ()
    return Header(path, fs, n_samples or None, signals, segments, comments, lengths)


def split_comments(text: str) -> tuple[list[str], tuple[str, ...]]:
    """The lines of a header that are not comments, and the comments without their "#"."""
    lines, comments = [], []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):  # str.splitlines has ten more
        content, mark, comment = line.partition("#")
        if content := content.strip():
            lines.append(content)
        if mark and (comment := comment.strip()):
            comments.append(comment.lstrip("# "))
    return lines, tuple(comments)


def split_fields(line: str, n: int = 0) -> list[str]:
    """The fields of a line, which blanks separate; with `n`, the last is what follows so many of them."""
    return line.split(None, n or -1) if line.isascii() else _BLANKS.split(line.strip(), n)


def _segment_samples(line: str, path: Path) -> int:
    length = "".join(split_fields(line)[1:2])
    if not length.isdecimal():
        raise _malformed(path, f"the segment line {line!r} is not 'name samples'")
    return int(length)


def _signal_line(line: str, path: Path) -> SignalLine:
    fields = split_fields(line, 8)
    storage = _storage(fields[1]) if len(fields) > 1 else None
    if storage is None:
        raise _malformed(path, f"the signal line {line!r} does not start with 'file format'")
    if "/" in fields[0] or "\0" in fields[0]:
        raise _malformed(path, f"{fields[0]!r} is not the name of a file beside it")
    gain, baseline, units, adc_zero = DEFAULT_GAIN, None, "mV", 0
    if len(fields) > 2:
        try:
            gain, baseline, units = _calibration(fields[2])
            adc_zero = int(fields[4]) if len(fields) > 4 else 0
            if not -_LARGEST < adc_zero < _LARGEST:
                gain, baseline = 0.0, 0  # as good as no gain
        except ValueError:
            raise _malformed(path, f"gain, baseline or ADC zero of {line!r} is not a number") from None
    description = fields[8].strip() if len(fields) > 8 else ""
    checksum = int(fields[6]) if len(fields) > 6 and _INTEGER.fullmatch(fields[6]) else None
    baseline = adc_zero if baseline is None else baseline
    return SignalLine(fields[0], *storage, gain, baseline, units, description, checksum)


@lru_cache(maxsize=1024)  # a corpus has few of these, each in nearly every line
def _storage(field: str) -> tuple[str, int, int, int] | None:
    """Format, samples a frame, skew and byte offset; None where the field is not like that."""
    match = _STORAGE.fullmatch(field)
    if match is None:
        return None
    fmt, samples_per_frame, skew, byte_offset = match.groups()
    if samples_per_frame and int(samples_per_frame) < 1:
        return None
    return fmt, int(samples_per_frame or 1), int(skew or 0), int(byte_offset or 0)


@lru_cache(maxsize=1024)
def _calibration(field: str) -> tuple[float, int | None, str]:
    """Gain, baseline (None where it is not given) and units; ValueError where the field is not like that."""
    match = _CALIBRATION.fullmatch(field)
    if match is None:
        raise ValueError(field)
    gain, baseline, units = match.groups()
    scale, zero = float(gain), None if baseline is None else int(baseline)
    if not math.isfinite(scale) or abs(zero or 0) >= _LARGEST:
        scale, zero = 0.0, 0  # likewise
    return scale, zero, units or "mV"


def _malformed(path: Path, what: str) -> SignalError:
    return SignalError(
        f"{path}: not a WFDB header: {what}. Restore it from the original download.",
        kind="with a malformed header",
    )
