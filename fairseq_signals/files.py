"""Files that appear when they are complete, or are safe to read; folders where one process works at a time.

Locks are `flock`s: they end with the process that has them, however it ends. A file is written under a
temporary name that is locked meanwhile, so that what a killed process left is known by its being free.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from fairseq_signals.errors import FairseqSignalsError, NotAFileError, OutputError

#: The temporary name of a file: process, random digits, and `.part`, or `.tmp` of earlier versions.
_TEMPORARY = r"\.{}\.\d+(-[0-9a-f]{{8}})?\.(part|tmp)([.-].*)?"
_STEPS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room"),
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Choose a folder that you may write to"),
    errno.ENOENT: "Bring back its folder, which is gone,",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG), "Choose another name"),
}
_ELSE = "Make room, or see what ails the disk,"
_ONLY_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NOT_FILES = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_held: set[int] = set()  # descriptors of locks


# --- files -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole_file(
    path: Path, suffix: str | None = None, durable: bool = True, prepared: bool = False
) -> Iterator[Path]:
    """A temporary name beside `path`; what is written to it gets its own name at the end of the block.

    The folder is made if needed. After an error nothing is left behind, and an older file stays.

    Args:
        path: the file.
        suffix: of the temporary name; that of the file by default.
        durable: wait until it is on the disk; not for thousands of small files that can be made again.
        prepared: the caller makes the folder, and sees to what killed processes left in it; for thousands of
            files in a folder.

    Raises:
        OutputError: the disk is full, the folder gone, or the file cannot be written for another reason.
    """
    ending = path.suffix if suffix is None else suffix
    with _whole_files([path], None, ending, durable, prepared) as partials:
        yield partials[0]


@contextlib.contextmanager
def whole_files(paths: Sequence[Path], retire: Callable[[], object]) -> Iterator[list[Path]]:
    """`whole_file` of several that belong together: when all are on the disk, they get their names in order.

    Args:
        paths: the last one tells that the others are there.
        retire: called before the first one gets its name: makes known, for readers meanwhile or after a kill,
            that the files are not to be taken together.
    """
    with _whole_files(paths, retire, "") as partials:
        yield partials


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """`whole_file` of a folder that is not there yet."""
    with _telling_of([path]) as partials, contextlib.ExitStack() as stack:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_overs(path.parent, path.name)
        partial = temporary_path(path)
        partials.append(partial)
        partial.mkdir()
        stack.callback(shutil.rmtree, partial, ignore_errors=True)
        stack.callback(_release, _lock(partial, os.O_RDONLY))
        yield partial
        for file in partial.iterdir():
            sync(file)
        partial.rename(path)


@contextlib.contextmanager
def _whole_files(
    paths: Sequence[Path],
    retire: Callable[[], object] | None,
    suffix: str,
    durable: bool = True,
    prepared: bool = False,
) -> Iterator[list[Path]]:
    with _telling_of(paths) as partials, contextlib.ExitStack() as stack:
        for path in paths:
            if not prepared:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_left_overs(path.parent, path.name)
            partials.append(temporary_path(path, suffix))
            stack.callback(partials[-1].unlink, missing_ok=True)
            stack.callback(_release, _lock(partials[-1], os.O_RDWR | os.O_CREAT))
        yield partials
        for partial in partials if durable else ():
            sync(partial)
        if retire is not None:
            retire()
        for partial, path in zip(partials, paths):
            partial.replace(path)


@contextlib.contextmanager
def _telling_of(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Turn errors of the operating system into such that name the files; their temporary names go in."""
    partials: list[Path] = []
    try:
        yield partials
    except OSError as error:
        names = {str(name) for path in paths for name in (path, *path.parents)}.union(map(str, partials))
        named = {error.filename, error.filename2}
        if error.filename is not None and not named & names and error.errno not in _ONLY_OF_WRITING:
            raise  # of a file that was read
        raise cannot_write(", ".join(map(str, paths)), error) from error


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write the pieces of a text file in UTF-8, as a `whole_file`."""
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        file.writelines(pieces)


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def cannot_write(what: object, error: OSError) -> OutputError:
    """The error for a file that the operating system does not take, with the next step."""
    number = error.errno
    why = str(error) if number is None else os.strerror(number)
    step = _ELSE if number is None else _STEPS.get(number, _ELSE)
    return OutputError(f"{what}: cannot be written ({why}). {step} and try again.")


# --- what killed processes left --------------------------------------------------------------------------


def temporary_path(path: Path, suffix: str = "") -> Path:
    """A temporary name beside `path`, known by `remove_left_overs`; another one each time, on any machine."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part{suffix}")


def remove_left_overs(folder: Path, name: str | None = None) -> None:
    """Remove what processes that are gone left under temporary names in a folder.

    Args:
        name: only those of this file; else those of all.
    """
    temporary = re.compile(_TEMPORARY.format(".+" if name is None else re.escape(name)), re.DOTALL)
    with os.scandir(folder) as entries:
        found = [folder / entry.name for entry in entries if temporary.fullmatch(entry.name)]
    for path in found:
        is_folder = path.is_dir() and not path.is_symlink()
        with contextlib.suppress(OSError):  # being written, gone meanwhile, or another user's
            descriptor = _lock(path, os.O_RDONLY if is_folder else os.O_RDWR)
            if descriptor is not None:  # else nothing tells whether its process is gone
                shutil.rmtree(path) if is_folder else path.unlink()
                _release(descriptor)


# --- locks -----------------------------------------------------------------------------------------------


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
        _release(descriptor)


def claim(folder: Path, busy: FairseqSignalsError) -> int | None:
    """`one_process` until this one ends; gives the descriptor of the lock, None where there are no locks.

    A process that is forked from this one does not have the lock.
    """
    try:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # it was taken away in between
                descriptor = _lock(folder, os.O_RDONLY)
                break
    except BlockingIOError:
        raise busy from None
    except OSError as error:
        raise cannot_write(folder, error) from error
    if descriptor is None:
        print(f"{folder}: cannot be locked here; let one process at a time write there", file=sys.stderr)
    return descriptor


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Wait until no other process reads and rewrites a file so; its folder is made if needed."""
    lock = path.with_name(f".{path.name}.lock")
    with _telling_of([path]):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(lock, os.O_RDWR | os.O_CREAT, wait=True)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        _release(descriptor)


def _lock(path: Path, flags: int, wait: bool = False) -> int | None:
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
            _release(descriptor)
            raise
        except OSError:
            _release(descriptor)
            return None
        _release(descriptor)  # it was removed, or another took its place, before it was locked


def _release(descriptor: int | None) -> None:
    if descriptor in _held:
        _held.remove(descriptor)
        os.close(descriptor)


def _release_all() -> None:
    for descriptor in list(_held):
        _release(descriptor)


os.register_at_fork(after_in_child=_release_all)  # else a child would keep a lock when this process is gone


# --- what is safe to read ---------------------------------------------------------------------------------


def open_file(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """A file opened to be read; nothing else is opened, as a pipe could be waited for for ever.

    Raises:
        NotAFileError: it is a pipe, a socket, a device or a link that leads nowhere.
        OSError: it cannot be opened.
    """
    what = not_a_file(path)
    if what is not None:
        raise NotAFileError(errno.EINVAL, f"it is {what}, not a file")
    return open(path, "rb", buffering)


def not_a_file(path: str | os.PathLike[str]) -> str | None:
    """What is in the place of a file, such as "a pipe"; None of a file, a folder, and where nothing is."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        lost = error.errno in (errno.ENOENT, errno.ELOOP) and os.path.islink(path)
        return "a link that leads nowhere" if lost else None
    return next((what for is_it, what in _NOT_FILES if is_it(mode)), None)
