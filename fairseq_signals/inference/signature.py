"""Which files a recording is made of, and whether they are still those that were read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fairseq_signals.ecg.header import read_header
from fairseq_signals.ecg.readers.authors_mat import SEGMENT_NAME
from fairseq_signals.errors import SignalError
from fairseq_signals.inference.sources import StoreRecord


def signature(source: str | StoreRecord) -> str:
    """Text that is another one where the place of a recording, or size or time of one of its files, is.

    Args:
        source: as `list_recordings` gives it.
    """
    if isinstance(source, StoreRecord):
        store = os.path.abspath(str(getattr(source.store, "root", source.store)))
        place, files = f"{store}#{source.shard}#{source.row}", [Path(store, source.shard or "")]
    else:
        place, files = os.path.abspath(source), files_of(source)
    digest = hashlib.blake2b(os.fsencode(place), digest_size=16)
    for file in files:
        digest.update(b"\0" + os.fsencode(file.name) + _state(file))
    return digest.hexdigest()


def header_of(path: Path) -> Path | None:
    """The WFDB header by which a path is read; None where it is of another format."""
    suffix = path.suffix.lower()
    if suffix == ".hea" and path.is_file():
        return path
    if suffix in (".dat", ".mat"):
        header = path.with_suffix(".hea")
    elif path.is_file():
        return None
    else:
        header = path.with_name(path.name + ".hea")
    return header if header.is_file() else None


def files_of(source: str) -> list[Path]:
    """The files that a path (or `FILE#ROW`, `STORE#RECORD_ID`) is read from."""
    path = Path(source)
    header = header_of(path)
    if header is not None:
        return _of_header(header)
    if not path.exists():
        tops = (Path(source[:i]) for i, letter in enumerate(source) if letter == "#")
        path = next((top for top in tops if top.exists()), path)
        return sorted(path.glob("*.arrow")) if path.is_dir() else [path]
    files, segment = [path], SEGMENT_NAME.fullmatch(path.name)
    if segment is not None and int(segment[2]) == 0:  # those that follow are read with the first
        while (following := path.with_name(f"{segment[1]}_{len(files)}{path.suffix}")).is_file():
            files.append(following)
    return files


def _of_header(path: Path) -> list[Path]:
    try:
        header = read_header(path)
    except SignalError:  # reading the recording tells why
        return [path]
    files = [path, *(path.with_name(name) for name in header.signal_files)]
    for name in dict.fromkeys(header.segments):
        if name != "~" and "/" not in name and name != path.stem:
            files += _of_header(path.with_name(f"{name}.hea"))
    return files


def _state(path: Path) -> bytes:
    try:
        found = os.stat(path)
    except OSError:
        return b" missing"
    return b" %d %d" % (found.st_size, found.st_mtime_ns)
