"""Signal files of the common WFDB formats, decoded with numpy alone.

Formats as in signal(5), https://physionet.org/physiotools/wag/signal-5.htm. All of them fit 16 bits.
"""

from __future__ import annotations

import os
from typing import Callable, NamedTuple

import numpy as np

from fairseq_signals.errors import WITHOUT_SIGNAL_FILE, SignalError
from fairseq_signals.files import open_file
from fairseq_signals.formats.common import read_failed, truncated
from fairseq_signals.formats.detect import HEADER
from fairseq_signals.formats.wfdb_header import Header

_BLOCK = 2**22  # samples that are read in one go
_MAT4_HEADER = 20  # bytes before the name of a matrix in a MATLAB version 4 file
_MAT4_INT16 = 30  # type code of a little-endian int16 matrix in a MATLAB version 4 file


class _Format(NamedTuple):
    """The value of a missing sample, samples in a number of bytes, bytes of as many samples, and decoding."""

    missing: int
    count: Callable[[int], int]
    size: Callable[[int], int]
    decode: Callable[[np.ndarray], np.ndarray]


def _decode_212(data: np.ndarray) -> np.ndarray:
    """Pairs of 12-bit samples, each in three bytes; the last may be half a pair in two bytes."""
    padded = np.zeros(-(-len(data) // 3) * 3, np.uint8)
    padded[: len(data)] = data
    low, nibbles, high = padded.reshape(-1, 3).T.astype(np.int16)
    adu = np.empty((len(low), 2), np.int16)
    # the upper four bits to the very top and back: that repeats the sign
    adu[:, 0] = (low | (nibbles << 8)) << 4 >> 4
    adu[:, 1] = (high | (nibbles >> 4 << 8)) << 4 >> 4
    return adu.reshape(-1)


_FORMATS = {
    "16": _Format(-(2**15), lambda size: size // 2, lambda n: 2 * n, lambda data: data.view("<i2")),
    "61": _Format(-(2**15), lambda size: size // 2, lambda n: 2 * n, lambda data: data.view(">i2")),
    "80": _Format(-(2**7), lambda size: size, lambda n: n, lambda data: data.astype(np.int16) - 128),
    "212": _Format(-(2**11), lambda size: (size * 2) // 3, lambda n: (3 * n + 1) // 2, _decode_212),
}


def is_direct(header: Header) -> bool:
    """Whether `read_adu` reads the signals: one segment in these formats, without frames or skew."""
    storage: dict[str, set[tuple[str, int]]] = {}
    for line in header.signals:
        if line.fmt not in _FORMATS or line.samples_per_frame != 1 or line.skew or line.file_name == "~":
            return False
        storage.setdefault(line.file_name, set()).add((line.fmt, line.byte_offset))
    return bool(storage) and all(len(one) == 1 for one in storage.values())


def missing_value(fmt: str) -> int:
    """The sample value that means "no valid sample"."""
    return _FORMATS[fmt].missing


def read_adu(header: Header, record_id: str, positions: list[int]) -> np.ndarray:
    """The signals at these positions in ADC units, (signals, T) int16.

    Raises:
        SignalError: a signal file is missing, too short, or not what the header says.
    """
    in_file: dict[str, list[int]] = {}
    for position, line in enumerate(header.signals):
        in_file.setdefault(line.file_name, []).append(position)
    wanted = {name: [p for p in there if p in positions] for name, there in in_file.items()}
    samples = {
        name: _read_file(header, record_id, in_file[name], some) for name, some in wanted.items() if some
    }
    n_samples = header.n_samples or min(adu.shape[1] for adu in samples.values())
    if n_samples == 0:
        raise truncated(record_id, header.path.parent / next(iter(samples)), 1, 0)
    if list(wanted.values()) == [positions]:
        return samples[header.signals[positions[0]].file_name]
    out = np.empty((len(positions), n_samples), np.int16)
    for name, adu in samples.items():
        out[[positions.index(position) for position in wanted[name]]] = adu[:, :n_samples]
    return out


def _read_file(header: Header, record_id: str, positions: list[int], wanted: list[int]) -> np.ndarray:
    """Of the file that holds the signals at `positions`, the wanted ones: (wanted, T) int16."""
    line = header.signals[positions[0]]
    path, n_signals, fmt = header.path.parent / line.file_name, len(positions), _FORMATS[line.fmt]
    rows = slice(None) if wanted == positions else [positions.index(position) for position in wanted]
    try:
        with open_file(path, buffering=0) as f:
            available = fmt.count(max(0, os.fstat(f.fileno()).st_size - line.byte_offset)) // n_signals
            n_samples = available if header.n_samples is None else header.n_samples
            if n_samples > available or n_samples == 0:
                raise truncated(record_id, path, n_samples, available)
            out = np.empty((0, 0), np.int16)
            step = max(_BLOCK // n_signals // 2 * 2, 2)  # even: two samples of format 212 share a byte
            before = line.byte_offset  # read with the first block: each reading waits for the disk
            for start in range(0, n_samples, step):
                n = min(step, n_samples - start)
                data = f.read(before + fmt.size(n * n_signals))
                if before >= _MAT4_HEADER and path.suffix == ".mat":
                    _check_mat4(data, record_id, path.name, n_signals)
                if start == 0:  # not before: memory above it would go back to the system
                    out = np.empty((len(wanted), n_samples), np.int16)
                adu = fmt.decode(np.frombuffer(data, np.uint8, offset=before))
                out[:, start : start + n] = adu[: n * n_signals].reshape(n, n_signals).T[rows]
                before = 0
    except FileNotFoundError:
        raise signal_file_missing(record_id, header, path.name) from None
    except OSError as e:
        raise read_failed(record_id, path, e) from e
    return out


def _check_mat4(data: bytes, record_id: str, name: str, n_signals: int) -> None:
    kind, rows = np.frombuffer(data, dtype="<i4", count=2).tolist()
    if kind != _MAT4_INT16 or rows != n_signals:
        raise SignalError(
            f"record {record_id}: {name} is not the MATLAB version 4 matrix of {n_signals} x samples 16-bit "
            f"integers that its header describes. Restore it from the original download."
        )


def signal_file_missing(record_id: str, header: Header, name: str) -> SignalError:
    """The error for a signal file, or the header of a segment, that is not where the header is."""
    what = "header" if name.endswith(HEADER) else "signal file"
    return SignalError(
        f"record {record_id}: {what} {name}, named in {header.path.name}, is missing. "
        f"Restore it beside the header from the original download.",
        kind=WITHOUT_SIGNAL_FILE,
    )
