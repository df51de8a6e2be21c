"""Which reader a file is for: by its first bytes, and where they do not tell, by its suffix."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

from fairseq_signals.errors import (
    NOT_A_FILE,
    UNAVAILABLE,
    WITHOUT_SIGNAL_FILE,
    SignalError,
    outside_reason,
)
from fairseq_signals.files import not_a_file
from fairseq_signals.formats.compressed import GZ, first_bytes, inner_path, plain
from fairseq_signals.formats.signatures import HEAD, describe, format_of, is_hdf5

HEADER = ".hea"
SIGNAL_SUFFIXES = (".dat", ".mat")  #: of the files that headers name
#: Suffixes of each reader's files; where several readers share one, the content tells which.
SUFFIXES_OF = {
    "wfdb": (HEADER,),
    "dicom": (".dcm", ".dicom", ".ima"),
    "edf": (".edf", ".bdf", ".rec"),
    "scp": (".scp", ".ecg"),
    "ishne": (".ecg",),
    "mfer": (".mwf", ".mfer", ".mfr"),
    "atc": (".atc",),
    "kardia_json": (".json",),
    **dict.fromkeys(("aecg", "muse_xml", "philips_xml", "cardiosoft_xml", "schiller_xml"), (".xml",)),
    **dict.fromkeys(("code15_hdf5", "sph_hdf5"), (".h5", ".hdf5")),
    "authors_mat": (".mat",),
    "number_table": (".csv", ".txt", ".tsv"),
    "arrays": (".npy", ".npz", ".parquet"),
}
_OF_OTHERS_TOO = (".json",)  # of files that are no recordings as well, which the content tells apart
#: Of records in folders, besides those that `is_recording` knows; a `.mat` file is one if no header names it.
SUFFIXES = tuple(
    suffix
    for suffix in dict.fromkeys(chain.from_iterable(SUFFIXES_OF.values()))
    if suffix not in _OF_OTHERS_TOO
)
#: Readers of files that may say neither sampling rate nor unit.
SAY_LITTLE = ("number_table", "arrays")
#: Readers of files that hold many records, each a row.
MANY_RECORDS = ("code15_hdf5",)
_READ = (
    "Read are WFDB, DICOM, EDF, BDF, SCP-ECG, ISHNE, MFER, ATC, Kardia JSON, HDF5 and MATLAB files of known "
    "layouts, XML of HL7 aECG, GE MUSE, GE CardioSoft, Philips and Schiller, tables of numbers (CSV, TXT, "
    "Parquet) and NumPy arrays."
)
_WITHOUT_A_SUFFIX = ("dicom", "kardia_json")


def header_of(path: Path) -> Path | None:
    """The WFDB header by which a path is read; None where it is of another format."""
    plain_path = inner_path(path)
    if plain_path.suffix.lower() == HEADER and os.path.isfile(path):
        return path
    if plain_path.suffix.lower() in SIGNAL_SUFFIXES:
        header = plain_path.with_suffix(HEADER)
    elif os.path.isfile(path):
        return None
    else:
        header = path.with_name(path.name + HEADER)
    spellings = (header, header.with_suffix(HEADER.upper()), header.with_name(header.name + GZ))
    return next((one for one in spellings if os.path.isfile(one)), None)


def detect_reader(path: Path) -> str:
    """The name of the reader (a key of `READERS`) for a record.

    Args:
        path: a file, or a WFDB record with or without ".hea".

    Raises:
        SignalError: there is no such file, or it is of no format that is read.
    """
    if header_of(path) is not None:
        return "wfdb"
    if not os.path.isfile(path):
        raise no_file(path)
    suffix = inner_path(path).suffix.lower()
    head = first_bytes(path, HEAD)
    if suffix == ".dat" and format_of(head) is None:
        raise SignalError(
            f"{path}: there is no header {inner_path(path).with_suffix(HEADER).name} beside it",
            kind="without a header",
        )
    if not path.stat().st_size:
        raise SignalError(f"{path}: the file is empty (0 bytes). Get it again.", kind="truncated")
    reader = _by_content(path, suffix, head)
    if reader:
        return reader
    found = describe(path)
    if found is None:
        raise SignalError(
            f"{path}: neither its suffix nor its first bytes are of a format that is read. "
            f"Convert it, or pass an array. {_READ}",
            kind="of another format",
        )
    advice = found.advice or f"Convert it, or pass an array. {_READ}"
    raise SignalError(f"{path} is {found.what}, for which there is no reader. {advice}", kind=found.kind)


def is_recording(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a recording, whatever its name is."""
    found = format_of(head)
    return found is not None and found.reader in _WITHOUT_A_SUFFIX


def no_file(path: Path) -> SignalError:
    """Why there is no file to read at a path."""
    what = not_a_file(path)
    if what is not None:
        return SignalError(f"{path} is {what}, not a file. Leave it out.", NOT_A_FILE)
    try:
        os.stat(path)
    except (OSError, ValueError) as error:  # a name may be longer than any, or have a zero byte
        reason = None if isinstance(error, FileNotFoundError) else outside_reason(error)
        if reason is not None:
            return SignalError(f"{path} cannot be read ({reason})", UNAVAILABLE)
        if isinstance(error, FileNotFoundError) and os.path.islink(path):
            return SignalError(f"{path} is a link to {os.readlink(path)}, which is not there", UNAVAILABLE)
        header = "" if path.suffix == HEADER else f", and no WFDB record of that name ({path.name}{HEADER})"
        return SignalError(f"{path}: there is no such file{header}", WITHOUT_SIGNAL_FILE)
    return SignalError(f"{path} is a folder, not a file", NOT_A_FILE)


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a DICOM file."""
    found = format_of(head)
    return found is not None and found.reader == "dicom"


def _by_suffix(suffix: str) -> str:
    """The reader of all files with a suffix; "" where there is none or one of several."""
    readers = [name for name, suffixes in SUFFIXES_OF.items() if suffix in suffixes]
    return readers[0] if len(readers) == 1 else ""


def _by_content(path: Path, suffix: str, head: bytes) -> str:
    """The reader by the first bytes of a file, and by its suffix where they do not tell; "" where none is."""
    if is_hdf5(head):
        from fairseq_signals.formats.hdf5_layouts import reader_of

        with plain(path) as copy:
            return reader_of(copy, path)
    found = format_of(head)
    if found is None or suffix == ".npz":  # which is a zip archive
        return _by_suffix(suffix)
    return found.reader
