"""Find the records of a folder: every header below it, whatever the layout."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from fairseq_signals.ecg.header import decode, split_comments

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
    root = Path(os.path.abspath(root))  # so that workers find it, wherever they were started
    listing = Listing()
    for folder, names in _walk(root):
        _list_folder(folder, root, names, listing)
    listing.records.sort(key=lambda record: record.record_id)
    listing.orphans.sort()
    return listing


def find_files(
    root: Path, suffixes: Sequence[str], accept: Callable[[bytes], bool] | None = None
) -> list[FoundRecord]:
    """Every file below `root` with one of the suffixes, links to folders included, sorted by record_id.

    A record_id is the path below `root` without its suffix; with it where two files would share one. Hidden
    files are left out. The digest is of a file's size and of 4096 bytes at either end.

    Args:
        root: the folder.
        suffixes: such as ".edf", in any case.
        accept: takes the first 4096 bytes of a file with another name and tells whether to list it too.
    """
    root = Path(os.path.abspath(root))
    endings = tuple(suffix.lower() for suffix in suffixes)
    found: dict[str, list[tuple[Path, str]]] = {}  # id without suffix -> files, digests
    for folder, names in _walk(root):
        prefix = _prefix(folder, root)
        for name in names:
            ending = next((ending for ending in endings if name.lower().endswith(ending)), None)
            if name.startswith(".") or (ending is None and accept is None):
                continue
            head, digest = _ends(folder / name)
            if ending is None and accept is not None and not accept(head):
                continue
            stem = name if ending is None else name[: -len(ending)]
            found.setdefault(_text(prefix + (stem or name)), []).append((folder / name, digest))
    records = []
    for record_id, files in found.items():
        for path, digest in files:
            alone = len(files) == 1
            own_id = record_id if alone else _text(_prefix(path.parent, root) + path.name)
            records.append(FoundRecord(path, own_id, digest))
    return sorted(records, key=lambda record: record.record_id)


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
    """Each folder below `root` once, links to folders included, and the names of its files."""
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link that leads back
            subfolders.clear()
            continue
        visited.add(real)
        yield Path(folder), names


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


def _list_folder(folder: Path, root: Path, names: list[str], listing: Listing) -> None:
    prefix = _prefix(folder, root)
    content: dict[str, bytes] = {}  # stem -> digest of its header and signal files
    segments_of: dict[str, list[str]] = {}
    signal_files: set[str] = set()
    for name in names:
        if not name.endswith(".hea"):
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
        content[stem] = _digest(data, *(_size(folder / file) for file in files))
    segments = {segment for listed in segments_of.values() for segment in listed}
    for stem in content.keys() - segments:
        digest = _digest(content[stem], *(content.get(segment, b"") for segment in segments_of.get(stem, ())))
        listing.records.append(FoundRecord(folder / f"{stem}.hea", _text(prefix + stem), digest.hex()))
    for name in names:
        if name.endswith(_SIGNAL_SUFFIXES) and name not in signal_files and not name.startswith("."):
            listing.orphans.append(_text(prefix + name))
