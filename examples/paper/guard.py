"""One workflow, and one training, at a time in a folder: locks that end with the process that has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fairseq_signals.errors import FairseqSignalsError
from fairseq_signals.safety.locks import claim


class AlreadyRunningError(FairseqSignalsError):
    """Another workflow works in the folder."""


def only_one_workflow(folder: Path) -> None:
    """Take the folder's lock until this process ends, however it ends.

    Snakemake's own locks stay behind when it is killed, and the next run then stops; the profile switches
    them off, and this takes their place.

    Raises:
        AlreadyRunningError: a process that runs has it.
    """
    claim(
        folder, AlreadyRunningError(f"{folder}: another workflow is running there; wait for it, or stop it")
    )


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[int]:
    """Wait until nobody else trains in this folder.

    Yields:
        the lock's file descriptor: a process that inherits it has the lock too, and may outlive this one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: waiting for another process that trains there", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
