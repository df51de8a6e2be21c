"""Arrow arrays of Python values, made without pandas.

`pyarrow.array` makes the same and imports pandas where it is installed: 0.2 s and 45 MiB of every process
that writes a store, more than it takes to store a hundred records.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An array of strings, numbers, lists of these, or maps (given as pairs); None is null.

    Raises:
        OverflowError: strings or lists are more than an array of their type can hold.
    """
    there = np.array([value is not None for value in values], bool)
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    children: list[pa.Array] = []
    buffers = [valid]
    if pa.types.is_string(kind):
        texts = [b"" if value is None else value.encode() for value in values]
        buffers += [_ends(texts), pa.py_buffer(b"".join(texts))]
    elif pa.types.is_list(kind) or pa.types.is_map(kind):
        rows = [() if value is None else value for value in values]
        inner = [one for row in rows for one in row]
        buffers += [_ends(rows)]
        children = [_pairs(inner, kind) if pa.types.is_map(kind) else column(inner, kind.value_type)]
    else:
        numbers = [0 if value is None else value for value in values]
        # not `to_pandas_dtype`, which imports pandas, too
        letter = "f" if pa.types.is_floating(kind) else "i"
        buffers += [pa.py_buffer(np.array(numbers, f"{letter}{kind.bit_width // 8}"))]
    return pa.Array.from_buffers(kind, len(values), buffers, children=children)


def _pairs(pairs: Sequence[tuple[Any, Any]], kind: pa.MapType) -> pa.Array:
    """The entries of maps."""
    children = [
        column([key for key, _ in pairs], kind.key_type),
        column([item for _, item in pairs], kind.item_type),
    ]
    both = pa.struct([kind.key_field, kind.item_field])
    return pa.Array.from_buffers(both, len(pairs), [None], children=children)


def _ends(parts: Iterable[Any]) -> pa.Buffer:
    """Where each part begins and the last ends."""
    return pa.py_buffer(array("i", accumulate(map(len, parts), initial=0)))
