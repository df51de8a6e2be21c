"""What readers of several formats share: errors about a file, names of segments, whole numbers, ages."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import plausible_age
from fairseq_signals.errors import WITHOUT_SIGNAL_FILE, FairseqSignalsError, SignalError
from fairseq_signals.files import open_file
from fairseq_signals.formats.limits import FILE_BYTES, require_size
from fairseq_signals.formats.signatures import describe

#: Of the authors' files. A longer number is part of the record's name, as in code_15_438277.mat.
SEGMENT_NAME = re.compile(r"(.+)_(\d{1,3})\.mat", re.IGNORECASE)
_DAYS_A_YEAR = 365.25


def file_name(path: Path) -> str:
    """The name of a record that was not given one: that of its file."""
    return path.stem or path.name


def segment_files(path: Path) -> list[Path]:
    """The file, and where it is segment 0 of a record, those of the segments after it up to a gap."""
    files, match = [path], SEGMENT_NAME.fullmatch(path.name)
    if match is not None and int(match[2]) == 0:
        while os.path.isfile(following := path.with_name(f"{match[1]}_{len(files)}{path.suffix}")):
            files.append(following)
    return files


def read_bytes(record_id: str, path: Path, n_bytes: int = -1, at_most: int = FILE_BYTES) -> bytes:
    """The first bytes of a file, by default all, where it has at most `at_most`."""
    try:
        with open_file(path) as file:
            if n_bytes < 0:
                require_size(record_id, path.name, os.fstat(file.fileno()).st_size, at_most)
            return file.read(n_bytes)
    except OSError as error:
        raise read_failed(record_id, path, error) from error


@contextmanager
def damage_refused(
    record_id: str,
    what: str,
    advice: str = "Export it again.",
    is_cut: Callable[[Exception], bool] = lambda error: False,
    kind: str = "malformed",
) -> Iterator[None]:
    """Make a SignalError of whatever a library raises over a damaged file, and nothing of its warnings.

    Args:
        what: what is wrong where it raises, such as "a.edf is damaged".
        is_cut: whether an error of the library means that the file ends too early.
        kind: of refusal where it does not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (MemoryError, FairseqSignalsError):
            raise
        except Exception as error:
            raise SignalError(
                f"record {record_id}: {what} ({type(error).__name__}: {error}). {advice}",
                kind="truncated" if is_cut(error) else kind,
            ) from error


def of_another_format(record_id: str, path: Path, expected: str) -> SignalError:
    """The error for a file that is something else than was expected ("a DICOM file")."""
    found = describe(path)
    advice = "Leave it out, or use the script for its format."
    if found is not None:
        expected += f" but {found.what}"
        advice = found.advice or (
            f"Leave it out, or use preprocess/{found.reader}.py." if found.reader else advice
        )
    return SignalError(
        f"record {record_id}: {path.name} is not {expected}. {advice}", kind="of another format"
    )


def read_failed(record_id: str, path: Path, error: OSError) -> SignalError:
    """The error for a file that is gone or cannot be opened."""
    return SignalError(
        f"record {record_id}: {path.name} cannot be read ({error.strerror or error}). Check the file."
    )


def file_missing(record_id: str, path: Path) -> SignalError:
    """The error for a file of a download that is not there."""
    message = f"record {record_id}: {path.name} is missing. Download it again."
    return SignalError(message, kind=WITHOUT_SIGNAL_FILE)


def truncated(record_id: str, path: Path, expected: int, available: int) -> SignalError:
    """The error for a file that ends too early."""
    return SignalError(
        f"record {record_id}: {path.name} is truncated: it holds {available} samples per lead, but announces "
        f"{expected}. Export or download it again.",
        kind="truncated",
    )


def malformed(record_id: str, path: Path, what: str) -> SignalError:
    """The error for a file that is of its format, but not as the format says."""
    return SignalError(f"record {record_id}: {path.name}: {what}. Export it again.", kind="malformed")


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """The values as int32 where all of them are whole and fit; integers and others as they are."""
    if values.dtype.kind in "iu":
        return values
    fit = (values == np.rint(values)).all() and np.abs(values).max(initial=0) < 2**31
    return values.astype(np.int32) if fit else values


def age_between(birth: str, recorded: str) -> float | None:
    """Years, to a tenth, between two dates such as 19530508 or 1953-05-08; None where one is not a date."""
    days = [_date(text) for text in (birth, recorded)]
    if days[0] is None or days[1] is None or days[1] < days[0]:
        return None
    return plausible_age(round((days[1] - days[0]).days / _DAYS_A_YEAR, 1))


def _date(text: str) -> date | None:
    digits = text.strip()[:10].replace("-", "")[:8]
    if len(digits) != 8 or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
