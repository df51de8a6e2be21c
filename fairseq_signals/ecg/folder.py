"""Find the records of a folder: every header below it, whatever the layout.

Folders are read one at a time and in the order of their names: memory grows with the largest of them, and not
with the corpus, and the result does not depend on the order that the disk has them in.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from fairseq_signals.ecg.header import decode, split_comments

logger = logging.getLogger(__name__)

_SIGNAL_SUFFIXES = (".dat", ".mat")
_ENDS = 4096  # bytes at either end of a file that its digest is made of


@dataclass(frozen=True)
class FoundRecord:
    """A record's header, or the one file that it is.

    Attributes:
        path: the file.
        record_id: path below the folder, with "/" and without the suffix.
        digest: of the header (and those of its segments) and the sizes of the signal files, so that changed
            input is noticed.
    """

    path: Path
    record_id: str
    digest: str


@dataclass(frozen=True)
class Orphan:
    """A signal file that no header names.

    Attributes:
        path: the file.
        name: its path below the folder.
        record_id: the same without suffix, unless a record has that name.
    """

    path: Path
    name: str
    record_id: str


@dataclass
class Listing:
    """What a folder holds.

    Attributes:
        records: sorted by record_id; segments of multi-segment records are not records of their own.
        orphans: signal files that no header names, as paths below the folder, sorted.
    """

    records: list[FoundRecord] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)


def find_records(root: Path) -> Listing:
    """Every WFDB record below `root`, links to folders included."""
    listing = Listing()
    for found in iter_records(root):
        if isinstance(found, Orphan):
            listing.orphans.append(found.name)
        else:
            listing.records.append(found)
    listing.records.sort(key=lambda record: record.record_id)
    listing.orphans.sort()
    return listing


def iter_records(root: Path) -> Iterator[FoundRecord | Orphan]:
    """Every WFDB record below `root`, links to folders included, and the signal files without one."""
    root = Path(os.path.abspath(root))  # so that workers find it, wherever they were started
    for folder, names in _walk(root):
        yield from _list_folder(folder, root, names)


def find_files(
    root: Path, suffixes: Sequence[str], accept: Callable[[bytes], bool] | None = None
) -> list[FoundRecord]:
    """What `iter_files` finds, sorted by record_id."""
    return sorted(iter_files(root, suffixes, accept), key=lambda record: record.record_id)


def iter_files(
    root: Path, suffixes: Sequence[str], accept: Callable[[bytes], bool] | None = None
) -> Iterator[FoundRecord]:
    """Every file below `root` with one of the suffixes, links to folders included.

    A record_id is the path below `root` without its suffix; with it where two files would share one. Hidden
    files are left out. The digest is of a file's size and of 4096 bytes at either end.

    Args:
        root: the folder.
        suffixes: such as ".edf", in any case.
        accept: takes the first 4096 bytes of a file with another name and tells whether to list it too.
    """
    root = Path(os.path.abspath(root))
    endings = tuple(suffix.lower() for suffix in suffixes)
    for folder, names in _walk(root):
        prefix = _prefix(folder, root)
        found: dict[str, list[tuple[str, str]]] = {}  # name without suffix -> names, digests
        for name in names:
            ending = next((ending for ending in endings if name.lower().endswith(ending)), None)
            if name.startswith(".") or (ending is None and accept is None):
                continue
            head, digest = _ends(folder / name)
            if ending is None and accept is not None and not accept(head):
                continue
            stem = name if ending is None else name[: -len(ending)]
            found.setdefault(stem or name, []).append((name, digest))
        for stem, files in found.items():
            for name, digest in files:
                own_name = stem if len(files) == 1 else name
                yield FoundRecord(folder / name, _text(prefix + own_name), digest)


def _ends(path: Path) -> tuple[bytes, str]:
    """The first bytes of a file, and a digest of its size and of both its ends."""
    try:
        with open(path, "rb") as f:
            head = f.read(_ENDS)
            size = f.seek(0, os.SEEK_END)
            f.seek(max(0, size - _ENDS))
            return head, _digest(b"%d" % size, head, f.read(_ENDS)).hex()
    except OSError:
        return b"", ""  # reading it later tells why


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder below `root` once, with the names of its files; sorted, links to folders last."""
    tops = [root]
    real_tops: list[str] = []
    for top in tops:  # grows as links are found
        real_top = os.path.realpath(top)
        if any(real_top == real or real_top.startswith(real + os.sep) for real in real_tops):
            continue  # a link to where this walk comes by anyway
        real_tops.append(real_top)
        stack = [str(top)]
        while stack:
            folder = stack.pop()
            if real_top + folder[len(str(top)) :] in real_tops[:-1]:
                continue  # a link to what holds a folder that was walked before
            try:
                with os.scandir(folder) as listed:
                    entries = sorted(listed, key=lambda entry: entry.name)
            except OSError as e:
                logger.warning("%s: left out, because it cannot be listed (%s)", folder, e.strerror)
                continue
            below = [entry for entry in entries if entry.is_dir()]
            tops += [Path(entry.path) for entry in below if entry.is_symlink()]
            stack += [entry.path for entry in reversed(below) if not entry.is_symlink()]
            yield Path(folder), [entry.name for entry in entries if not entry.is_dir()]


def _prefix(folder: Path, root: Path) -> str:
    """What stands before a file's name in its path below `root`."""
    below = folder.relative_to(root).as_posix()
    return "" if below == "." else f"{below}/"


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _text(name: str) -> str:
    """A file name that can be written to a table, even where it is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _size(path: Path) -> bytes:
    try:
        return b"%d" % os.stat(path).st_size
    except OSError:
        return b"missing"


def _list_folder(folder: Path, root: Path, names: list[str]) -> Iterator[FoundRecord | Orphan]:
    prefix = _prefix(folder, root)
    content: dict[str, bytes] = {}  # stem -> digest of its header and signal files
    headers: dict[str, str] = {}  # stem -> name of its header
    segments_of: dict[str, list[str]] = {}
    signal_files: set[str] = set()
    for name in names:
        if not name.lower().endswith(".hea"):
            continue
        try:
            data = (folder / name).read_bytes()
        except OSError:
            data = b""  # reading it later tells why
        stem = name[: -len(".hea")]
        lines, _ = split_comments(decode(data))
        first_words = [line.split()[0] for line in lines]
        files: list[str] = []
        if first_words and "/" in first_words[0]:
            segments_of[stem] = first_words[1:]
        else:
            files = sorted(set(first_words[1:]))
            signal_files.update(files)
        headers[stem] = name
        content[stem] = _digest(data, *(_size(folder / file) for file in files))
    segments = {segment for listed in segments_of.values() for segment in listed}
    for stem, own in content.items():
        if stem not in segments:
            digest = _digest(own, *(content.get(segment, b"") for segment in segments_of.get(stem, ())))
            yield FoundRecord(folder / headers[stem], _text(prefix + stem), digest.hex())
    for name in names:
        of_signals = name.lower().endswith(_SIGNAL_SUFFIXES) and not name.startswith(".")
        if of_signals and name not in signal_files:
            stem = os.path.splitext(name)[0]  # a header of that name may name another file
            record_id = _text(prefix + (name if stem in content else stem))
            yield Orphan(folder / name, _text(prefix + name), record_id)
