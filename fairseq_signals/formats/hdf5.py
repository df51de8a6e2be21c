"""HDF5 files: the data sets of numbers that lie in the file itself, of a size that it can hold."""

from __future__ import annotations

import math
import os
from typing import Any

from fairseq_signals.errors import optional_library
from fairseq_signals.files import require_file
from fairseq_signals.formats.limits import require_held

h5py: Any = optional_library("h5py", "HDF5", "formats")


def open_hdf5(path: Any) -> Any:
    """A file, open for reading.

    Raises:
        OSError: it is not there, or is no whole HDF5 file.
    """
    require_file(path)
    return h5py.File(path, "r")


def has_link(file: Any, name: str) -> bool:
    """Whether there is something of this name in a file, wherever it leads; it is not followed."""
    return file.id.links.exists(name.encode())


def numbers(file: Any, name: str) -> Any:
    """A data set of numbers in a file; None where there is none of this name.

    Links and storage that lead to other files or around in a circle are refused, whatever is there: a file
    that was handed in could name any other.

    Raises:
        ValueError: its numbers are elsewhere, or it says that it has more than the file holds.
    """
    if not has_link(file, name):
        return None
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link to another place, which is not followed")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_virtual or found.external:
        raise ValueError(f"the numbers of {name} are in other files, which are not read")
    if found.dtype.kind not in "iuf" or found.shape is None:
        raise ValueError(f"{name} has no numbers, but {found.dtype}")
    held = min(found.id.get_storage_size(), os.path.getsize(file.filename))
    item = found.dtype.itemsize
    require_held(name, max(found.size, math.prod(found.chunks or ())) * item, held)
    if found.chunks is not None:
        _require_chunks(found, name, math.prod(found.chunks) * item)
    return found


def _require_chunks(found: Any, name: str, n_bytes: int) -> None:
    """Refuse chunks that are larger compressed than as they are: what they expand to has no bound."""
    sizes = [0]
    found.id.chunk_iter(lambda chunk: sizes.append(chunk.size))
    if max(sizes) > n_bytes + n_bytes // 100 + 1024:  # filters add next to nothing
        raise ValueError(f"{name} has chunks of {n_bytes:,} bytes, but {max(sizes):,} are stored of one")


def shapes_in(path: Any) -> dict[str, tuple[tuple[int, ...], str] | None]:
    """Shape and type of each data set in a file; None for anything else, and for what is in other files.

    Raises:
        OSError: see `open_hdf5`.
    """
    found: dict[str, tuple[tuple[int, ...], str] | None] = {}
    with open_hdf5(path) as file:
        for name in file:
            is_hard = file.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
            item = file[name] if is_hard else None
            found[name] = None
            if isinstance(item, h5py.Dataset) and not (item.is_virtual or item.external):
                found[name] = tuple(item.shape or ()), str(item.dtype)
    return found
