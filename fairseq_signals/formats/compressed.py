"""Files compressed with gzip: NAME.ext.gz is read as NAME.ext, decompressed into a temporary file."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq_signals.errors import SignalError
from fairseq_signals.files import open_file
from fairseq_signals.formats.common import read_failed
from fairseq_signals.formats.limits import capacity

GZ = ".gz"
_BLOCK = 2**20


def is_compressed(path: Path) -> bool:
    """Whether a file's name says that gzip made it."""
    return path.suffix.lower() == GZ


def inner_path(path: Path) -> Path:
    """The path without `.gz`; the path itself where it does not end so."""
    return path.with_suffix("") if is_compressed(path) else path


def first_bytes(path: Path, n_bytes: int) -> bytes:
    """The first bytes of a file, of a compressed one those of what it holds.

    Raises:
        SignalError: it cannot be read, or is not what gzip makes.
    """
    try:
        with open_file(path) as raw:
            return (gzip.GzipFile(fileobj=raw) if is_compressed(path) else raw).read(n_bytes)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(f"record {inner_path(path).stem}", path, error) from error
    except OSError as error:
        raise read_failed(str(path), path, error) from error


@contextmanager
def plain(path: Path) -> Iterator[Path]:
    """The path of a file, or of a temporary copy of what it holds if it is compressed."""
    if is_compressed(path):
        with decompressed(path, inner_path(path).stem) as copy:
            yield copy
    else:
        yield path


@contextmanager
def decompressed(path: Path, record_id: str) -> Iterator[Path]:
    """A temporary copy of what a `.gz` file holds, under its name without `.gz`.

    Raises:
        SignalError: it is damaged, or stands for more than `limits.capacity`.
    """
    with tempfile.TemporaryDirectory(prefix="fairseq-signals-") as folder:
        copy = Path(folder, inner_path(path).name)
        decompress(path, copy, record_id)
        yield copy


def decompress(path: Path, copy: Path, record_id: str) -> None:
    """Write what a `.gz` file holds to `copy`; raises as `decompressed`."""
    try:
        at_most = capacity(path.stat().st_size)
        with open_file(path) as raw, gzip.GzipFile(fileobj=raw) as file, copy.open("wb") as whole:
            while block := file.read(_BLOCK):
                whole.write(block)
                if whole.tell() > at_most:
                    raise SignalError(
                        f"record {record_id}: the {path.stat().st_size:,} bytes of {path.name} stand for "
                        f"more than {at_most:,}. Decompress it if it is a recording.",
                        kind="too long",
                    )
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(f"record {record_id}", path, error) from error
    except OSError as error:
        raise read_failed(record_id, path, error) from error


def _damaged(where: str, path: Path, error: Exception) -> SignalError:
    return SignalError(
        f"{where}: {path.name} is not whole ({error}). Copy or download it again.",
        kind="truncated" if isinstance(error, EOFError) else "malformed",
    )
