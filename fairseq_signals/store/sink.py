"""The file that a shard is written to, for records that are larger than memory should be."""

from __future__ import annotations

import mmap
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

_PIECE = 2**24  # bytes


class Sink:
    """A file that takes a buffer in pieces, and gives back the memory of a piece that it has written.

    Else the pages of a long record, which lies in a file of its own, would all be in memory at the end.

    Attributes:
        record: the samples that are written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.record: np.ndarray | None = None

    def write(self, data: bytes | pa.Buffer) -> int:
        pieces = memoryview(data).cast("B")
        for start in range(0, len(pieces), _PIECE):
            self.file.write(pieces[start : start + _PIECE])
            mapped: Any = getattr(self.record, "base", None)
            if isinstance(mapped, mmap.mmap):
                mapped.madvise(mmap.MADV_DONTNEED)
        return len(pieces)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
