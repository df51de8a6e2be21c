"""Files that appear when they are complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path, suffix: str | None = None, durable: bool = True) -> Iterator[Path]:
    """A temporary name beside `path`; what is written to it gets its own name at the end of the block.

    The folder is made if needed. After an error nothing is left behind, and an older file stays.

    Args:
        path: the file.
        suffix: of the temporary name; that of the file by default.
        durable: wait until it is on the disk; not for thousands of small files that can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = path.suffix if suffix is None else suffix
    partial = path.with_name(f".{path.name}.{os.getpid()}.part{ending}")
    try:
        yield partial
        if durable:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write the pieces of a text file in UTF-8, as a `whole_file`."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
