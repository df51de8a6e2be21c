"""Find the records of a folder: every header below it, whatever the layout."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from fairseq_signals.ecg.header import decode, split_comments

_SIGNAL_SUFFIXES = (".dat", ".mat")


@dataclass(frozen=True)
class FoundRecord:
    """A record's header.

    Attributes:
        path: the header file.
        record_id: path below the folder, with "/" and without ".hea".
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
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link that leads back
            subfolders.clear()
            continue
        visited.add(real)
        _list_folder(Path(folder), root, names, listing)
    listing.records.sort(key=lambda record: record.record_id)
    listing.orphans.sort()
    return listing


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
    prefix = folder.relative_to(root).as_posix()
    prefix = "" if prefix == "." else f"{prefix}/"
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
