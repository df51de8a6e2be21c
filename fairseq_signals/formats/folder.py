"""Find the records of a folder, whatever its layout and the formats of its files.

Folders are read one at a time and in the order of their names: memory grows with the largest of them, and not
with the corpus, and the result does not depend on the order that the disk has them in.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from fairseq_signals.formats.common import SEGMENT_NAME
from fairseq_signals.formats.detect import HEADER, SIGNAL_SUFFIXES
from fairseq_signals.formats.wfdb_header import decode, split_comments, split_fields

logger = logging.getLogger(__name__)

WITHOUT_HEADER = "without a header"
_ENDS = 4096  # bytes at either end of a file that its digest is made of


class FoundRecord(NamedTuple):
    """A record's header, or the file that it is or begins with.

    Attributes:
        record_id: path below the folder, with "/" and without the suffix; with it where two would share one.
        path: the file.
        digest: of the header (and those of its segments) and the sizes of the signal files; of other files
            their size and both ends; so that changed input is noticed.
        rejected: why the file is no whole record, or None.
        rejected_kind: that reason as a key of `fairseq_signals.errors.REASONS`.
    """

    record_id: str
    path: Path
    digest: str = ""
    rejected: str | None = None
    rejected_kind: str = ""


def iter_records(
    root: Path, suffixes: Sequence[str] = (HEADER,), accept: Callable[[bytes], bool] | None = None
) -> Iterator[FoundRecord]:
    """Every record below `root`, links to folders included.

    Of WFDB records the header is listed, and signal files that no header names, as rejected; of the authors'
    `.mat` files the first segment, and segments after a missing one, as rejected. Hidden files are left out,
    but for headers.

    Args:
        suffixes: of the files that are records, such as ".edf", in any case; ".hea" for those of WFDB.
        accept: takes the first 4096 bytes of a file with another name and tells whether it is one too.
    """
    root = Path(os.path.abspath(root))  # so that workers find it, wherever they were started
    endings = tuple(suffix.lower() for suffix in suffixes)
    for folder, names in _walk(root):
        below = folder.relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for found in _list_folder(folder, names, endings, accept):
            yield found._replace(record_id=_text(prefix + found.record_id))


def _list_folder(
    folder: Path, names: Sequence[str], endings: tuple[str, ...], accept: Callable[[bytes], bool] | None
) -> Iterator[FoundRecord]:
    """The records of one folder, each called by its name in it."""
    headers: dict[str, _Header] = {}
    orphans: list[str] = []
    if HEADER in endings:
        headers = {name[: -len(HEADER)]: _Header(folder, name) for name in names if _ends_in(name, HEADER)}
        yield from _wfdb_records(headers)
        done = {file for header in headers.values() for file in header.signal_files}
        for name in names:
            stem, is_signal = os.path.splitext(name)[0], _ends_in(name, *SIGNAL_SUFFIXES)
            if is_signal and name not in done and (stem in headers or not _ends_in(name, *endings)):
                orphans.append(name)  # a header of its name names another file, or no format has its suffix
        done.update(orphans)
        names = [name for name in names if name not in done and not _ends_in(name, HEADER)]
    taken = set(headers)
    yield from _join_segments(folder, _files(folder, names, endings, accept), taken)
    for name in orphans:
        stem = os.path.splitext(name)[0]
        reason = f"no header names the signal file {name}. Restore {stem}{HEADER}."
        if not name.startswith("."):
            yield FoundRecord(name if stem in taken else stem, folder / name, "", reason, WITHOUT_HEADER)


class _Header:
    """What a WFDB header says of its files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        try:
            data = self.path.read_bytes()
        except OSError:
            data = b""  # reading it later tells why
        lines, _ = split_comments(decode(data))
        first_words = [split_fields(line)[0] for line in lines]
        named, is_layout = first_words[1:], bool(first_words) and "/" in first_words[0]
        self.segments = named if is_layout else []
        self.signal_files = [] if is_layout else sorted(set(named))
        self.digest = _digest(data, *(_size(folder / file) for file in self.signal_files))


def _wfdb_records(headers: dict[str, _Header]) -> Iterator[FoundRecord]:
    """The records of headers by their names without suffix; segments are no records of their own."""
    segments = {segment for header in headers.values() for segment in header.segments}
    for stem, header in headers.items():
        if stem not in segments:
            parts = (headers[name].digest if name in headers else b"" for name in header.segments)
            yield FoundRecord(stem, header.path, _digest(header.digest, *parts).hex())


def _files(
    folder: Path, names: Iterable[str], endings: tuple[str, ...], accept: Callable[[bytes], bool] | None
) -> dict[str, tuple[str, str]]:
    """Of the files that are records, by name: the name without suffix, and the digest."""
    files = {}
    for name in names:
        ending = next((ending for ending in endings if _ends_in(name, ending)), None)
        if name.startswith(".") or (ending is None and accept is None):
            continue
        head, digest = _ends(folder / name)
        if ending is not None or (accept is not None and accept(head)):
            files[name] = name[: len(name) - len(ending or "")], digest
    return files


def _join_segments(folder: Path, files: dict[str, tuple[str, str]], taken: set[str]) -> Iterator[FoundRecord]:
    """The records that files are, one each or with the segments after it; their names go into `taken`."""
    n_sharing = Counter(stem for stem, _ in files.values())
    n_segments: dict[str, int] = {}  # of a record, up to the first that is missing
    for name, (stem, digest) in files.items():
        record_id, reason, kind = stem, None, ""
        segment = SEGMENT_NAME.fullmatch(name)
        if segment is not None and int(segment[2]) == 0:
            record_id, suffix = segment[1], name[segment.end(2) :]
            following = (f"{record_id}_{k}{suffix}" for k in itertools.count(1))
            parts = [name, *itertools.takewhile(files.__contains__, following)]
            n_segments[record_id] = len(parts)
            digests = "".join(files[part][1] for part in parts)
            digest = hashlib.blake2b(digests.encode(), digest_size=16).hexdigest()
        elif segment is not None and segment[1] in n_segments:
            absent = n_segments[segment[1]]
            if int(segment[2]) < absent:
                continue
            reason = f"segment {absent} of {segment[1]} is missing before it. Preprocess the record again."
            kind = "after a missing segment"
        if n_sharing[stem] > 1 or record_id in taken:
            record_id = name
        taken.add(record_id)
        yield FoundRecord(record_id, folder / name, digest, reason, kind)


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


def _ends_in(name: str, *suffixes: str) -> bool:
    return name.lower().endswith(suffixes)
