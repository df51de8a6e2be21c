"""Files that appear when they are complete, or are safe to read.

A file is written under a temporary name that is locked meanwhile, so that what a killed process left is known
by its being free.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TextIO

from fairseq_signals.errors import NotAFileError, cannot_write
from fairseq_signals.safety.locks import lock, release

#: The temporary name of a file: process, random digits, and `.part`, or `.tmp` of earlier versions.
_TEMPORARY = r"\.{}\.\d+(-[0-9a-f]{{8}})?\.(part|tmp)([.-].*)?"
_ONLY_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NOT_FILES = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


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
        stack.callback(release, lock(partial, os.O_RDONLY, wait=True))
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
            require_file(path)
            if not prepared:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_left_overs(path.parent, path.name)
            partials.append(temporary_path(path, suffix))
            stack.callback(partials[-1].unlink, missing_ok=True)
            # another process may be asking whether it is a left-over
            stack.callback(release, lock(partials[-1], os.O_RDWR | os.O_CREAT, wait=True))
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
            descriptor = lock(path, os.O_RDONLY if is_folder else os.O_RDWR)
            try:
                if descriptor is not None:  # else nothing tells whether its process is gone
                    shutil.rmtree(path) if is_folder else path.unlink()
            finally:
                release(descriptor)


# --- what is safe to read ---------------------------------------------------------------------------------


def open_file(path: str | os.PathLike[str], buffering: int = -1) -> IO[bytes]:
    """A file opened to be read; nothing else is opened, as a pipe could be waited for for ever.

    Raises:
        NotAFileError: it is a pipe, a socket, a device or a link to itself.
        OSError: it cannot be opened.
    """
    require_file(path)
    return open(path, "rb", buffering)


def open_text(path: str | os.PathLike[str], encoding: str = "utf-8", newline: str | None = None) -> TextIO:
    """`open_file` of a text."""
    require_file(path)
    return open(path, encoding=encoding, newline=newline)


def require_file(path: str | os.PathLike[str]) -> None:
    """Refuse what `open_file` would; also as a place to write to, as it would be replaced by a file.

    Raises:
        NotAFileError: it is a pipe, a socket, a device or a link to itself.
    """
    what = not_a_file(path)
    if what is not None:
        raise NotAFileError(errno.EINVAL, f"it is {what}, not a file")


def not_a_file(path: str | os.PathLike[str]) -> str | None:
    """What is in the place of a file, such as "a pipe"; None of a file, a folder, and where nothing is."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return "a link that runs in a circle" if error.errno == errno.ELOOP else None
    except ValueError:  # a zero byte in a name, which nothing has
        return None
    if stat.S_ISREG(mode):
        return None
    return next((what for is_it, what in _NOT_FILES if is_it(mode)), None)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
