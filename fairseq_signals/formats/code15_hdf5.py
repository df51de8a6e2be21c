"""HDF5 files of CODE-15% and SaMi-Trop: many exams as rows of one array, zero-padded to one length.

Layout as their providers describe it (https://zenodo.org/records/4916206, https://zenodo.org/records/4905618):
`tracings` (exams, 4096 samples, 12 leads), twice the millivolt (`formats/published.py`), at 400 Hz, shorter
exams with zeros on both sides, leads in the usual order (DI DII DIII AVR AVL AVF V1 ... V6).
CODE-15% also has `exam_id` (exams,), whose last entry is 0 and stands for no exam.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.record import Record
from fairseq_signals.errors import FairseqSignalsError, SignalError, StoreError
from fairseq_signals.files import not_a_file
from fairseq_signals.formats.assemble import Channel, assemble
from fairseq_signals.formats.common import damage_refused, file_missing
from fairseq_signals.formats.hdf5 import has_link, numbers, open_hdf5
from fairseq_signals.formats.limits import require_length
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.published import MAY_BE_DOUBLED, NOTE, halving

FS = 400.0  # Hz
_OPEN_FILES = 32  # that a process keeps open: exams that follow each other may lie in any part


@dataclass(frozen=True)
class Tracings:
    """What a file holds.

    Attributes:
        n_exams: rows of `tracings`.
        exam_ids: (n_exams,) int64, 0 for a row that is no exam; None where the file does not name them.
        digest: of its size and names, so that changed input is noticed.
    """

    n_exams: int
    exam_ids: np.ndarray | None
    digest: str


def read_code15_hdf5(
    path: Path, record_id: str | None = None, index: int = 0, options: ReadOptions = DEFAULTS
) -> Record:
    """The exam of row `index`, without its padding; floats become int16 at 1/32767 of each lead's peak.

    Those of a file that names its exams are halved, see `formats/published.py`.
    """
    return _read(path, record_id, index, options, doubled=False)


def read_sami_trop_hdf5(
    path: Path, record_id: str | None = None, index: int = 0, options: ReadOptions = DEFAULTS
) -> Record:
    """An exam of SaMi-Trop, whose file does not say what it is; halved as those of CODE-15%."""
    return _read(path, record_id, index, options, doubled=True)


def _read(path: Path, record_id: str | None, index: int, options: ReadOptions, doubled: bool) -> Record:
    record_id = f"{path.stem}/{index}" if record_id is None else record_id
    what = f"row {index} of {path.name} cannot be read"
    with damage_refused(record_id, what, "Download it again.", is_cut=lambda error: True):
        try:
            stat = path.stat()
            tracings = _tracings(str(path), stat.st_size, stat.st_mtime_ns)
        except FileNotFoundError:
            raise file_missing(record_id, path) from None
        except StoreError as e:
            raise SignalError(f"record {record_id}: {e}") from e
        n_rows = len(tracings)
        require_length(record_id, math.prod(tracings.shape[1:]), FS, options)
        padded = np.asarray(tracings[index], np.float64) if index < n_rows else None  # (T, 12)
        names_exams = has_link(tracings.parent, "exam_id")
    if padded is None:
        raise SignalError(
            f"record {record_id}: there is no row {index} in {path.name}, only {n_rows} rows",
            kind="truncated",
        )
    signal = without_padding(padded)
    if not len(signal):
        raise SignalError(
            f"record {record_id}: all samples of row {index} of {path.name} are zero; leave it out.",
            kind="without a usable lead",
        )
    notes = [MAY_BE_DOUBLED]
    if doubled or names_exams:  # of the two, CODE-15% names its exams
        options, notes = halving(options), [NOTE]
    leads = np.ascontiguousarray(signal.T)  # (T, 12) -> (12, T)
    channels = [Channel(name, values, 1.0) for name, values in zip(LEADS, leads)]
    return assemble(record_id, FS, channels, notes=notes, options=options)


def without_padding(signal: np.ndarray) -> np.ndarray:
    """An exam (T, L) without the samples at either end that are zero in all leads; a view."""
    there = np.flatnonzero((signal != 0).any(axis=1))
    return signal[there[0] : there[-1] + 1] if len(there) else signal[:0]


def read_contents(path: Path) -> Tracings:
    """What a file holds, without its signals.

    Raises:
        StoreError: the file is damaged, or not as its providers describe it.
    """
    what = not_a_file(path)
    if what is not None:
        raise StoreError(f"{path}: it is {what}, not a file. Remove it.")
    try:
        with open_hdf5(path) as file:
            tracings = _checked(file, path)
            names = numbers(file, "exam_id")
            exam_ids = None if names is None else np.asarray(names[()], dtype=np.int64)
            n_exams = len(tracings)
    except (MemoryError, FairseqSignalsError):
        raise
    except Exception as e:  # whatever h5py raises over a damaged file
        raise StoreError(f"{path}: the file cannot be read ({e}). Download it again.") from e
    if exam_ids is not None and exam_ids.shape != (n_exams,):
        raise StoreError(
            f"{path}: exam_id has shape {exam_ids.shape} for {n_exams} tracings. Download it again."
        )
    digest = hashlib.blake2b(b"%d" % path.stat().st_size, digest_size=16)
    digest.update(b"" if exam_ids is None else exam_ids.tobytes())
    return Tracings(n_exams, exam_ids, digest.hexdigest())


def _checked(file: Any, path: Path) -> Any:
    """The dataset of the signals."""
    tracings = numbers(file, "tracings")
    shape = getattr(tracings, "shape", None)
    if shape is None or len(shape) != 3 or shape[2] != len(LEADS):
        found = "no dataset" if shape is None else f"a dataset of shape {shape}"
        raise StoreError(
            f"{path}: tracings must be a dataset of (exams, samples, 12 leads), but there is {found}. "
            f"Download it again."
        )
    if shape[0] > (n_bytes := path.stat().st_size):
        raise StoreError(f"{path}: it announces {shape[0]:,} exams in {n_bytes:,} bytes. Download it again.")
    return tracings


@lru_cache(maxsize=_OPEN_FILES)
def _tracings(path: str, size: int, changed: int) -> Any:
    """The signals of a file, which stays open in this process; another one where the file has changed."""
    return _checked(open_hdf5(path), Path(path))
