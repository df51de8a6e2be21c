"""How the samples of a record are stored in a shard: as they are, or as FLAC, smaller and slower to read.

Both are lossless. The layout of a cell of the `signal` column is specified in preprocess/README.md.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import soundfile

from fairseq_signals.errors import StoreError

INT16, FLAC = "int16", "flac"
CODECS = (INT16, FLAC)

_MAX_CHANNELS = 8  # of a FLAC stream
_NOMINAL_FS = 1000  # a FLAC stream must have a rate, an integer; the record's own is in the column `fs`
_SIZE = struct.Struct("<I")  # stands before each stream: its length in bytes


def check_codec(name: str) -> str:
    """The name, where there is such a codec.

    Raises:
        StoreError: there is none.
    """
    if name not in CODECS:
        raise StoreError(f"codec must be one of {', '.join(CODECS)}, but is {name!r} instead")
    return name


def encode_flac(signal: np.ndarray) -> bytes:
    """The cell of a record, (L, T) int16: one stream for up to 8 leads, else two (12 leads: 6 and 6)."""
    parts = []
    for group in _groups(len(signal)):
        stream = io.BytesIO()
        soundfile.write(stream, signal[group].T, _NOMINAL_FS, format="FLAC", subtype="PCM_16")
        data = stream.getvalue()
        parts += [_SIZE.pack(len(data)), data]
    return b"".join(parts)


def decode_flac(cell: bytes | memoryview, n_leads: int, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` of a cell, (L, stop - start) int16; blocks before and after are not decoded.

    Raises:
        StoreError: the cell is damaged.
    """
    signal = np.empty((n_leads, stop - start), np.int16)
    view, begin = memoryview(cell), 0
    try:
        for group in _groups(n_leads):
            end = begin + _SIZE.size + _SIZE.unpack_from(view, begin)[0]
            # no copy: of bytes that are mapped, only what is read comes into memory
            with soundfile.SoundFile(pa.BufferReader(view[begin + _SIZE.size : end])) as stream:
                if start:
                    stream.seek(start)
                samples = stream.read(stop - start, dtype="int16", always_2d=True)
            if samples.T.shape != signal[group].shape:
                raise ValueError(f"{samples.T.shape} leads, samples instead of {signal[group].shape}")
            signal[group] = samples.T
            begin = end
    except (struct.error, ValueError, RuntimeError) as e:  # soundfile's own are RuntimeErrors
        raise StoreError(f"a FLAC stream is damaged ({e})") from e
    return signal


def _groups(n_leads: int) -> Iterator[slice]:
    """The leads of each stream: as few streams as there can be, of equal size where that is possible."""
    n_streams = -(-n_leads // _MAX_CHANNELS)
    size = -(-n_leads // n_streams) if n_streams else 0
    return (slice(i, min(i + size, n_leads)) for i in range(0, n_leads, size or 1))
