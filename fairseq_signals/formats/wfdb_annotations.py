"""Annotations beside WFDB records (.atr, .qrs, ...) in MIT format: where a rhythm begins.

Layout: https://physionet.org/physiotools/wag/annot-5.htm, "MIT Format". A pair of bytes holds a code of 6
bits and a time of 10 bits, in samples since the annotation before it.
"""

from __future__ import annotations

from pathlib import Path

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.common import malformed, read_bytes

_RHYTHM, _SKIP, _TIMELESS, _AUX = 28, 59, (60, 61, 62), 63


def read_rhythms(path: Path) -> list[tuple[int, str]]:
    """Sample and name of each change of rhythm, such as (1200, "AFIB"), in the order of the file.

    Raises:
        SignalError: the file cannot be read, or ends within an annotation.
    """
    data = read_bytes(path.stem, path)
    changes: list[tuple[int, str]] = []
    sample, position, is_rhythm = 0, 0, False
    while position + 1 < len(data):
        word = int.from_bytes(data[position : position + 2], "little")
        code, value = word >> 10, word & 0x3FF
        position += 2
        if word == 0:
            return changes
        if code == _SKIP:  # a long time, its high half first
            high, low = data[position : position + 2], data[position + 2 : position + 4]
            sample += int.from_bytes(low + high, "little", signed=True)
            position += 4
        elif code == _AUX:
            if is_rhythm:
                text = data[position : position + value].decode("latin-1")
                changes.append((sample, text.strip("\0 ").removeprefix("(")))
            position += value + value % 2
        elif code not in _TIMELESS:
            sample, is_rhythm = sample + value, code == _RHYTHM
    raise _cut(path)


def _cut(path: Path) -> SignalError:
    return malformed(path.stem, path, "it ends within its annotations")
