"""Folders and files in which one process works at a time.

Locks are `flock`s: they end with the process that has them, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fairseq_signals.errors import FairseqSignalsError, OutputError, cannot_write

_held: set[int] = set()  # descriptors


@contextlib.contextmanager
def one_process(folder: Path, busy: FairseqSignalsError) -> Iterator[None]:
    """Keep other processes that ask likewise from working in a folder meanwhile; it is made if needed.

    Raises:
        FairseqSignalsError: another process works there: `busy`, which says so.
    """
    descriptor = claim(folder, busy)
    try:
        yield
    finally:
        release(descriptor)


def claim(folder: Path, busy: FairseqSignalsError) -> int | None:
    """`one_process` until this one ends; gives the descriptor of the lock, None where there are no locks.

    A process that is forked from this one does not have the lock.
    """
    try:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # it was taken away in between
                descriptor = lock(folder, os.O_RDONLY)
                break
    except BlockingIOError:
        raise busy from None
    except OSError as error:
        raise cannot_write(folder, error) from error
    if descriptor is None:
        print(f"{folder}: cannot be locked here; let one process at a time write there", file=sys.stderr)
    return descriptor


def only_one_workflow(folder: Path) -> None:
    """Take the folder's lock until this process ends, however it ends.

    Snakemake's own locks stay behind when it is killed, and the next run then stops; a profile can switch
    them off, and this takes their place.

    Raises:
        OutputError: a process that runs has it.
    """
    claim(folder, OutputError(f"{folder}: another workflow is running there; wait for it, or stop it"))


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Wait until no other process reads and rewrites a file so; its folder is made if needed."""
    lock_file = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock(lock_file, os.O_RDWR | os.O_CREAT, wait=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        release(descriptor)


def lock(path: Path, flags: int, wait: bool = False) -> int | None:
    """Open and lock a file or folder; None on a file system without locks.

    Raises:
        BlockingIOError: another process has the lock, and `wait` is not given.
    """
    while True:
        descriptor = os.open(path, flags, 0o666)
        _held.add(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            release(descriptor)
            raise
        except OSError:
            release(descriptor)
            return None
        release(descriptor)  # it was removed, or another took its place, before it was locked


def release(descriptor: int | None) -> None:
    if descriptor in _held:
        _held.remove(descriptor)
        os.close(descriptor)


def _release_all() -> None:
    for descriptor in list(_held):
        release(descriptor)


os.register_at_fork(after_in_child=_release_all)  # else a child would keep a lock when this process is gone
