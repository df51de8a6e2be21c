"""MATLAB version 7.3 files, which are HDF5: their arrays of numbers and characters."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairseq_signals.formats.hdf5 import numbers, open_hdf5


def load_mat73(path: Any) -> dict[str, Any]:
    """The arrays of a file by name, as `load_mat5` gives those of version 5; others are left out.

    Raises:
        OSError, ValueError: the file is damaged, or its numbers are not in it.
    """
    arrays: dict[str, Any] = {}
    with open_hdf5(path) as file:
        for name in file:
            if file.get(name, getclass=True, getlink=False) is None or name.startswith("#"):
                continue
            found = numbers(file, name)
            if found is None:
                continue
            kind = found.attrs.get("MATLAB_class", b"")
            if kind in (b"cell", b"struct"):  # references, which numbers() refuses anyway
                continue
            values = np.asarray(found[()]).T  # MATLAB keeps columns together
            is_text = kind == b"char"
            arrays[name] = np.array(["".join(map(chr, values.reshape(-1)))]) if is_text else values
    return arrays
