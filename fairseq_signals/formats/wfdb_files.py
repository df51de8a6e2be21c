"""Where the files of a WFDB record are: under the names in its headers, or under other spellings of them.

Copies from other systems change capitals, some headers leave out ".mat", and archives are compressed file by
file. A file outside the folder of the header is none of the record's, however it is named or linked.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.common import read_failed
from fairseq_signals.formats.compressed import GZ, decompress, is_compressed
from fairseq_signals.formats.detect import HEADER, SIGNAL_SUFFIXES
from fairseq_signals.formats.wfdb_header import Header, read_header
from fairseq_signals.formats.wfdb_signals import signal_file_missing


@dataclass(frozen=True)
class Folder:
    """The names of the files in a folder, also by their lower case."""

    names: frozenset[str]
    by_lower: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, names: Iterable[str]) -> Folder:
        by_lower: dict[str, tuple[str, ...]] = {}
        for name in sorted(names):
            by_lower[name.lower()] = (*by_lower.get(name.lower(), ()), name)
        return cls(frozenset(names), by_lower)

    def meant_by(self, name: str) -> tuple[str, ...]:
        """The files that a name in a header may mean: that file, else those of the nearest other spelling.

        Nearest are the suffix that it lacks, other capitals, and then a compressed file.
        """
        if name in self.names:
            return (name,)
        longer = [name, *(name + suffix for suffix in SIGNAL_SUFFIXES)]
        for spellings in ([name], longer[1:], [name + GZ], [one + GZ for one in longer[1:]]):
            same = tuple(one for one in spellings if one in self.names)
            found = same or tuple(sum((self.by_lower.get(one.lower(), ()) for one in spellings), ()))
            if found:
                return found
        return ()


def is_in_place(header: Header) -> bool:
    """Whether each file of a record is a file, and no link, of the name in its header: so nearly always."""
    folder, file = os.path.split(header.path)
    try:
        return (
            not header.segments
            and file.endswith(HEADER)
            and all(
                stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode) for name in header.signal_files
            )
        )
    except OSError:
        return False


@contextmanager
def at_hand(header: Header, record_id: str) -> Iterator[tuple[Header, list[str]]]:
    """A header whose files, and those of its segments, lie beside it under the names that it gives them.

    That is the header itself where they do, else a copy in a folder of its own, beside links to the files.
    With it comes a sentence for each file that was found under another name.

    Raises:
        SignalError: a file is not there, may be one of several, or lies elsewhere.
    """
    places = dict(_places(header, record_id))
    is_there = header.path.suffix == HEADER and os.path.isfile(header.path)
    if is_there and all(path.name == name for name, path in places.items()):
        yield header, []
        return
    notes = [f"{name} is read from {path.name}" for name, path in places.items() if path.name != name]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, header.path.stem + HEADER)
        try:
            if os.path.isfile(header.path):
                shutil.copyfile(header.path, copy)
            else:
                decompress(header.path.with_name(header.path.name + GZ), copy, record_id)
            for name, path in places.items():
                if is_compressed(path) and not is_compressed(Path(name)):
                    decompress(path, Path(folder, name), record_id)
                else:
                    Path(folder, name).symlink_to(path.absolute())
        except OSError as error:
            raise read_failed(record_id, header.path, error) from error
        yield read_header(copy), notes


def candidates(folder: Path, name: str) -> list[Path]:
    """The files of a folder that a name in a header may mean, see `Folder.meant_by`."""
    path = folder / name
    if os.path.lexists(path):
        return [path]
    try:
        listed = _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return []
    return [folder / one for one in listed.meant_by(name)]


@lru_cache(maxsize=2)  # many headers of one folder name their files alike
def _listed(folder: Path, changed_ns: int) -> Folder:
    return Folder.of(os.listdir(folder))


def _places(header: Header, record_id: str) -> Iterator[tuple[str, Path]]:
    """Each name that a header gives a file, or a segment's header one, and where that file is."""
    for name in header.signal_files:
        yield name, _place(header, record_id, name)
    for segment in dict.fromkeys(header.segments):
        if segment != "~":
            name = segment + HEADER
            path = _place(header, record_id, name)
            yield name, path
            if not path.is_file():
                raise signal_file_missing(record_id, header, name)
            inner = read_header(path)
            yield from ((each, _place(inner, record_id, each)) for each in inner.signal_files)


def _place(header: Header, record_id: str, name: str) -> Path:
    found = candidates(header.path.parent, name)
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise SignalError(
            f"record {record_id}: {name}, named in {header.path.name}, is missing, and which of {listed} it "
            f"is cannot be told. Rename that one.",
            kind="without a signal file",
        )
    if not found:
        return header.path.parent / name  # reading it tells
    if os.path.islink(found[0]):
        _require_inside(header, record_id, found[0])
    return found[0]


def _require_inside(header: Header, record_id: str, path: Path) -> None:
    """Refuse a link that leads out of the folder.

    It may lead to where the header's own link does, and into the repository that the folder is in, since
    git-annex keeps the content of files there.
    """
    target, folder = os.path.realpath(path), Path(os.path.realpath(header.path.parent))
    repository = next((str(one) for one in (folder, *folder.parents) if (one / ".git").exists()), None)
    homes = filter(None, (str(folder), os.path.dirname(os.path.realpath(header.path)), repository))
    if not any(target.startswith(home.rstrip(os.sep) + os.sep) for home in homes):
        raise SignalError(
            f"record {record_id}: {path.name}, named in {header.path.name}, is a link to {target}, outside "
            f"of the folder of the header. Put a copy of the file in its place.",
            kind="of an unsupported kind",
        )
