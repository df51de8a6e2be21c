"""Find the records of a folder, whatever its layout and the formats of its files.

Folders are read one at a time and in the order of their names: memory grows with the largest of them, and not
with the corpus, and the result does not depend on the order that the disk has them in.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from fairseq_signals.errors import NOT_A_FILE, UNAVAILABLE, SignalError
from fairseq_signals.files import open_file
from fairseq_signals.formats.common import SEGMENT_NAME
from fairseq_signals.formats.compressed import GZ
from fairseq_signals.formats.detect import HEADER, SIGNAL_SUFFIXES, no_file
from fairseq_signals.formats.wfdb_files import Folder
from fairseq_signals.formats.wfdb_header import decode, header_bytes, split_comments, split_fields
from fairseq_signals.safety.text import visible

WITHOUT_HEADER = "without a header"
_ENDS = 4096  # bytes at either end of a file that its digest is made of
_HEADERS = (HEADER, HEADER + GZ)
_PACKED_SIGNALS = f".dat{GZ}"  # of WFDB, that no other format has
_Reason = tuple[Optional[str], str]  #: why something is no record, and the kind of that reason


class FoundRecord(NamedTuple):
    """A record's header, or the file that it is or begins with.

    Attributes:
        record_id: path below the folder, with "/" and without the suffix; with it where two would share one;
            with escapes in place of what is not seen.
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

    @property
    def unread(self) -> SignalError | None:
        """Why there is nothing to read: it is no file, or was not available; None where there may be."""
        is_there = self.rejected_kind not in (NOT_A_FILE, UNAVAILABLE)
        return None if is_there else SignalError(f"{self.path}: {self.rejected}", self.rejected_kind)


def iter_records(
    root: Path, suffixes: Sequence[str] = (HEADER,), accept: Callable[[bytes], bool] | None = None
) -> Iterator[FoundRecord]:
    """Every record below `root`, links to folders included.

    Of WFDB records the header is listed, and signal files that no header names, as rejected; of the authors'
    `.mat` files the first segment, and segments after a missing one, as rejected; and so is, whatever its
    name, what is no file (a pipe, a lost link), and a folder that cannot be listed. What is
    hidden is left out, such as the `._NAME` that a Mac puts beside each file.

    Args:
        suffixes: of the files that are records, such as ".edf", in any case; ".hea" for those of WFDB.
        accept: takes the first 4096 bytes of a file with another name and tells whether it is one too.
    """
    root = Path(os.path.abspath(root))  # so that workers find it, wherever they were started
    endings = tuple(suffix.lower() for suffix in suffixes)
    for folder, names, odd in _walk(root):
        below = folder.relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for found in _list_folder(folder, names, odd, endings, accept):
            yield found._replace(record_id=visible((prefix + found.record_id).rstrip("/") or "."))


def _list_folder(
    folder: Path,
    names: Sequence[str],
    odd: Mapping[str, _Reason],
    endings: tuple[str, ...],
    accept: Callable[[bytes], bool] | None,
) -> Iterator[FoundRecord]:
    """The records of one folder, each called by its name in it."""
    headers: dict[str, _Header] = {}
    orphans: list[str] = []
    done: set[str] = set()
    if HEADER in endings:
        listed = Folder.of(names)
        plain, packed = ([name for name in names if _ends_in(name, end)] for end in _HEADERS)
        headers = {_stem(name): _Header(folder, name, listed) for name in (*packed, *plain)}
        headers = {stem: headers[stem] for stem in sorted(headers)} if packed else headers
        yield from _wfdb_records(headers)
        done.update(file for header in headers.values() for file in header.signal_files)
        for name in names:
            stem, is_signal = _stem(name), _ends_in(name, *SIGNAL_SUFFIXES, _PACKED_SIGNALS)
            if is_signal and stem in headers and headers[stem].failed[0] is not None:
                done.add(name)  # perhaps that header names it
            elif is_signal and name not in done and (stem in headers or not _ends_in(name, *endings)):
                orphans.append(name)  # a header of its name names another file, or no format has its suffix
        done.update(orphans)
        names = [name for name in names if name not in done and not _ends_in(name, *_HEADERS)]
    taken = set(headers)
    yield from _join_segments(folder, _files(folder, names, endings, accept), taken)
    for name in orphans:
        stem = _stem(name)
        reason = f"no header names the signal file {name}. Restore {stem}{HEADER}."
        yield FoundRecord(name if stem in taken else stem, folder / name, "", reason, WITHOUT_HEADER)
        taken.add(stem)
    for name, reason_and_kind in odd.items():
        if name not in done:  # of a signal file that a header names, reading the record tells
            yield FoundRecord(name, folder / name, "", *reason_and_kind)


def _stem(name: str) -> str:
    """The name of a WFDB file without its suffix, and without that of gzip."""
    return os.path.splitext(name[: -len(GZ)] if _ends_in(name, GZ) else name)[0]


class _File(NamedTuple):
    """A file that is a record or a segment: its name without suffix, its digest, why it was not read."""

    stem: str
    digest: str
    failed: _Reason


class _Header:
    """What a WFDB header says of its files, by the names that they have."""

    def __init__(self, folder: Path, name: str, listed: Folder) -> None:
        self.path = folder / name
        self.failed: _Reason = (None, "")
        data = b""
        try:
            with open_file(self.path, buffering=0) as file:
                data = header_bytes(file, self.path)
        except OSError as error:
            self.failed = _unread(name, error)
        lines, _ = split_comments(decode(data))
        first_words = [split_fields(line, 1)[0] for line in lines]
        named, is_layout = first_words[1:], bool(first_words) and "/" in first_words[0]
        named = [each + HEADER * is_layout for each in (named if is_layout else dict.fromkeys(named))]
        meant = [listed.meant_by(each) or (each,) for each in named]
        self.segments = [_stem(one) for one, *_ in meant] if is_layout else []
        self.signal_files = [] if is_layout else sorted({one for each in meant for one in each})
        self.digest = _digest(data, *(_size(folder / file) for file in self.signal_files))


def _wfdb_records(headers: dict[str, _Header]) -> Iterator[FoundRecord]:
    """The records of headers by their names without suffix; segments are no records of their own."""
    segments = {segment for header in headers.values() for segment in header.segments}
    for stem, header in headers.items():
        if stem not in segments:
            parts = (headers[name].digest if name in headers else b"" for name in header.segments)
            yield FoundRecord(stem, header.path, _digest(header.digest, *parts).hex(), *header.failed)


def _files(
    folder: Path, names: Iterable[str], endings: tuple[str, ...], accept: Callable[[bytes], bool] | None
) -> dict[str, _File]:
    """Of the files that are records, what they are by name."""
    files = {}
    for name in names:
        ending = next(
            (e + gz for gz in ("", GZ) for e in endings if e != HEADER and _ends_in(name, e + gz)), None
        )
        if ending is None and accept is None:
            continue
        failed: _Reason = (None, "")
        head, digest = b"", ""
        try:
            head, digest = _ends(folder / name)
        except OSError as error:
            failed = _unread(name, error)
        if ending is not None or (accept is not None and (accept(head) or failed[0])):
            files[name] = _File(name[: len(name) - len(ending or "")], digest, failed)
    return files


def _join_segments(folder: Path, files: dict[str, _File], taken: set[str]) -> Iterator[FoundRecord]:
    """The records that files are, one each or with the segments after it; their names go into `taken`."""
    n_sharing = Counter(stem for stem, _, _ in files.values())
    n_segments: dict[str, int] = {}  # of a record, up to the first that is missing
    for name, (stem, digest, (reason, kind)) in files.items():
        record_id = stem
        segment = SEGMENT_NAME.fullmatch(name)
        if segment is not None and int(segment[2]) == 0:
            record_id, suffix = segment[1], name[segment.end(2) :]
            following = (f"{record_id}_{k}{suffix}" for k in itertools.count(1))
            parts = [name, *itertools.takewhile(files.__contains__, following)]
            n_segments[record_id] = len(parts)
            digests = "".join(files[part].digest for part in parts)
            reason, kind = next((files[part].failed for part in parts if files[part].failed[0]), (None, ""))
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
    with open_file(path) as f:
        head = f.read(_ENDS)
        size = f.seek(0, os.SEEK_END)
        f.seek(max(0, size - _ENDS))
        return head, _digest(b"%d" % size, head, f.read(_ENDS)).hex()


def _unread(what: str, error: OSError) -> _Reason:
    return f"{what} cannot be read ({error.strerror or error}). Run the same command again.", UNAVAILABLE


def _walk(root: Path) -> Iterator[tuple[Path, list[str], dict[str, _Reason]]]:
    """Each folder below `root` once, with the names of its files, and of what is neither file nor folder why.

    They are sorted, links to folders last. A folder that cannot be listed is in itself, by the name "".
    """
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
                    entries = sorted(
                        (entry for entry in listed if not entry.name.startswith(".")), key=lambda e: e.name
                    )
            except OSError as error:
                yield Path(folder), [], {"": _unread("the folder", error)}
                continue
            below = [entry for entry in entries if _is(entry.is_dir)]
            tops += [Path(entry.path) for entry in below if entry.is_symlink()]
            stack += [entry.path for entry in reversed(below) if not entry.is_symlink()]
            names = [entry.name for entry in entries if _is(entry.is_file)]
            others = {entry.name for entry in entries} - {entry.name for entry in below} - set(names)
            yield Path(folder), names, {name: _odd(Path(folder, name)) for name in sorted(others)}


def _is(test: Callable[[], bool]) -> bool:
    """What an entry of a folder says that it is; False for a link that runs in a circle."""
    try:
        return test()
    except OSError:
        return False


def _odd(path: Path) -> _Reason:
    """Why an entry of a folder is neither a file nor a folder."""
    error = no_file(path)
    return str(error).replace(str(path), path.name, 1), error.kind


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _size(path: Path) -> bytes:
    try:
        return b"%d" % os.stat(path).st_size
    except (OSError, ValueError):  # ValueError: of a name with a NUL
        return b"missing"


def _ends_in(name: str, *suffixes: str) -> bool:
    return name.lower().endswith(suffixes)
