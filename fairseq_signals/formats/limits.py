"""What a file claims, held against what it can hold and against a limit, before memory is given to it.

No file is read at once that is larger than its kind is. A recording has at most the samples of 12 leads of
`ReadOptions.max_seconds`. Compressed data stand for at most a hundred times their size: ECGs for three times,
silence for a thousand.
"""

from __future__ import annotations

import os
import zlib
from typing import IO

from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.record import MAX_FS, MIN_FS
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.options import ReadOptions

HEADER_BYTES = 2**24  # of a text that describes signal files
TEXT_BYTES = 2**28  # of a text that holds samples
FILE_BYTES = 2**32  # of any file that is read at once
_BLOCK = 2**24  # of bytes that are read in one go
_MAX_RATIO, _FREE_BYTES = 100, 2**26  # of compressed data
_DENSEST_HZ = 1000.0  # for which `max_seconds` is meant; of denser ones the samples count


def read_up_to(file: IO[bytes], n_bytes: int) -> bytes:
    """The content of a file, of a larger one its first `n_bytes`."""
    if os.fstat(file.fileno()).st_size <= n_bytes:
        return file.read()
    data = bytearray()
    while len(data) < n_bytes and (more := file.read(min(n_bytes - len(data), _BLOCK))):
        data += more
    return bytes(data)


def require_size(record_id: str, name: str, size: int, at_most: int) -> None:
    """Refuse a file of more bytes than are read at once."""
    if size > at_most:
        raise SignalError(
            f"record {record_id}: {name} has {size:,} bytes, but at most {at_most:,} of such a file are "
            f"read. Leave it out, or split it.",
            kind="too long",
        )


def require_rate(record_id: str, fs: float) -> None:
    """Refuse a sampling rate that no ECG has."""
    if not MIN_FS <= fs <= MAX_FS:
        raise SignalError(
            f"record {record_id}: the sampling rate in its header is {fs:g} Hz, outside "
            f"{MIN_FS:g}-{MAX_FS:g} Hz. Correct the header if it is wrong.",
            kind="with an unexpected sampling rate",
        )


def require_length(record_id: str, n_values: int, fs: float, options: ReadOptions) -> None:
    """Refuse a recording that is longer than is asked for.

    Args:
        n_values: samples that it says it has, of all channels that are read.
        fs: of each of them, Hz.
        options: with the limit.
    """
    require_rate(record_id, fs)
    at_most = int(N_LEADS * options.max_seconds * min(fs, _DENSEST_HZ))
    if n_values > at_most:
        raise SignalError(
            f"record {record_id}: it announces {_figure(n_values)} samples, but at most {at_most:,} are "
            f"read, {N_LEADS} leads of {options.max_seconds:g} s. If it is that long, raise --max-seconds "
            f"(max_seconds= in Python).",
            kind="too long",
        )


def _figure(n: int) -> str:
    return f"{n:,}" if n < 10**18 else "over 10^18"


def capacity(n_bytes: int) -> int:
    """The most bytes that so many compressed bytes may stand for."""
    return max(_FREE_BYTES, _MAX_RATIO * n_bytes)


def require_held(name: str, claimed: int, n_bytes: int) -> None:
    """Refuse what says that it has more bytes than its compressed ones may stand for.

    Raises:
        ValueError: it does.
    """
    if claimed > capacity(n_bytes):
        raise ValueError(
            f"{name} says that it has {_figure(claimed)} bytes, but the file holds {n_bytes:,} of it"
        )


def inflate(data: bytes, wbits: int = zlib.MAX_WBITS) -> bytes:
    """The bytes that a deflated stream stands for.

    Args:
        data: the stream.
        wbits: what surrounds it, as of `zlib.decompress`.

    Raises:
        ValueError: it is damaged, ends too early, or stands for more than `capacity`.
    """
    stream, at_most = zlib.decompressobj(wbits), capacity(len(data))
    try:
        content = stream.decompress(data, at_most + 1)
    except zlib.error as error:
        raise ValueError(f"compressed data are damaged ({error})") from error
    if len(content) > at_most:
        raise ValueError(f"{len(data):,} compressed bytes stand for more than {at_most:,}")
    if not stream.eof:
        raise ValueError("compressed data end too early")
    return content
