"""The column of signals of a record batch, in memory that one batch after another takes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fairseq_signals.store.codecs import FLAC, encode_flac

_FULL = 16 * 2**20  # bytes of signals at which a batch is written; a signal of as many is one alone


def is_long(signal: np.ndarray) -> bool:
    """Whether a signal (L, T) fills a batch alone."""
    return signal.nbytes >= _FULL


class SignalColumn:
    """Signals that are written together.

    They are moved into one stretch of memory, which those of the next batch take again: asking for memory
    anew is what took longest of a short record. A long signal stays where it is.
    """

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self._ends = [0]  # of the signals, in bytes
        self._memory = np.empty(_FULL, "<i2")  # twice as many bytes: nearly a batch, and what fills it
        self._signals: list[np.ndarray] = []

    @property
    def is_full(self) -> bool:
        """Whether they are to be written."""
        return self._ends[-1] >= _FULL

    def add(self, signal: np.ndarray) -> None:
        """Add a signal (L, T) int16."""
        if not is_long(signal):
            begin = self._ends[-1] // self._memory.itemsize
            place = self._memory[begin : begin + signal.size].reshape(signal.shape)
            place[...] = signal
            signal = place
        self._signals.append(signal)
        self._ends.append(self._ends[-1] + signal.nbytes)

    def taken(self) -> pa.Array:
        """The signals, to be written before others are added."""
        signals, ends = self._signals, np.array(self._ends)
        self._signals, self._ends = [], [0]
        data: bytes | np.ndarray = self._memory[: ends[-1] // self._memory.itemsize]
        if self.codec == FLAC:
            encoded = [encode_flac(signal) for signal in signals]
            data, ends = b"".join(encoded), np.cumsum([0, *map(len, encoded)])
        elif len(signals) == 1:
            data = np.ascontiguousarray(signals[0], "<i2").reshape(-1)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.large_binary(), len(signals), buffers)
