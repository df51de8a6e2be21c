"""Which reader a file is for: by its suffix, and where that does not tell, by its first bytes."""

from __future__ import annotations

import os
import re
import struct
from itertools import chain
from pathlib import Path

from fairseq_signals.errors import (
    NOT_A_FILE,
    UNAVAILABLE,
    WITHOUT_SIGNAL_FILE,
    FairseqSignalsError,
    SignalError,
)
from fairseq_signals.files import not_a_file
from fairseq_signals.formats.common import read_bytes

HEADER = ".hea"
SIGNAL_SUFFIXES = (".dat", ".mat")  #: of the files that headers name
#: Suffixes of each reader's files; where several readers share one, the content tells which.
SUFFIXES_OF = {
    "wfdb": (HEADER,),
    "dicom": (".dcm", ".dicom", ".ima"),
    "edf": (".edf", ".bdf", ".rec"),
    "scp": (".scp", ".ecg"),
    **dict.fromkeys(("aecg", "muse_xml", "philips_xml"), (".xml",)),
    **dict.fromkeys(("code15_hdf5", "sph_hdf5"), (".h5", ".hdf5")),
    "authors_mat": (".mat",),
}
#: Of records in folders, besides DICOM files of any name; a `.mat` file is one if no header names it.
SUFFIXES = tuple(dict.fromkeys(chain.from_iterable(SUFFIXES_OF.values())))
#: Readers of XML files by the name of the root element in lower case.
_BY_ROOT = {"restingecg": "muse_xml", "annotatedecg": "aecg", "restingecgdata": "philips_xml"}
#: Readers of HDF5 files by a dataset that they hold.
_BY_DATASET = {"tracings": "code15_hdf5", "ecg": "sph_hdf5"}
#: Readers of files that hold many records, each a row.
MANY_RECORDS = ("code15_hdf5",)
_ROOT = re.compile(rb"<(?:[\w.\-]+:)?([A-Za-z_][\w.\-]*)[\s/>]")
_HEAD = 65536
_LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")  # of elements whose length has four bytes


def header_of(path: Path) -> Path | None:
    """The WFDB header by which a path is read; None where it is of another format."""
    suffix = path.suffix.lower()
    if suffix == HEADER and os.path.isfile(path):
        return path
    if suffix in SIGNAL_SUFFIXES:
        header = path.with_suffix(HEADER)
    elif os.path.isfile(path):
        return None
    else:
        header = path.with_name(path.name + HEADER)
    return header if os.path.isfile(header) else None


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
    suffix = path.suffix.lower()
    if suffix == ".dat":
        raise SignalError(
            f"{path}: there is no header {path.with_suffix(HEADER).name} beside it", kind="without a header"
        )
    if not path.stat().st_size:
        raise SignalError(f"{path}: the file is empty (0 bytes). Get it again.", kind="truncated")
    readers = [name for name, suffixes in SUFFIXES_OF.items() if suffix in suffixes]
    if len(readers) == 1:
        return readers[0]
    head = read_bytes(path.name, path, _HEAD)
    reader = _by_content(path, head)
    if reader is None:
        raise SignalError(
            f"{path}: neither its suffix nor its first bytes are of a format that is read: WFDB, DICOM, EDF, "
            f"SCP-ECG, HDF5, MATLAB files of the authors' scripts, and XML of HL7 aECG, GE MUSE or Philips. "
            f"Convert it, or pass an array.",
            kind="of another format",
        )
    return reader


def no_file(path: Path) -> SignalError:
    """Why there is no file to read at a path."""
    what = not_a_file(path)
    if what is not None:
        return SignalError(f"{path} is {what}, not a file. Leave it out.", NOT_A_FILE)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        header = "" if path.suffix == HEADER else f", and no WFDB record of that name ({path.name}{HEADER})"
        return SignalError(f"{path}: there is no such file{header}", WITHOUT_SIGNAL_FILE)
    except OSError as error:
        return SignalError(f"{path} cannot be read ({error.strerror or error})", UNAVAILABLE)
    return SignalError(f"{path} is a folder, not a file", NOT_A_FILE)


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a DICOM file, with its mark or without preamble."""
    return head[128:132] == b"DICM" or any(_begins_with_elements(head, order) for order in "<>")


def _begins_with_elements(head: bytes, order: str) -> bool:
    """Whether there are three elements of groups 0002 and 0008 in a row, as DICOM files begin with."""
    position, last = 0, (0, 0)
    for _ in range(3):
        if len(head) < position + 12:
            return False
        group, element, short, length = struct.unpack_from(f"{order}HH2xHI", head, position)
        vr = head[position + 4 : position + 6]
        if vr in _LONG_VRS:
            size = 12 + length
        elif vr.isalpha() and vr.isupper():
            size = 8 + short
        else:
            size = 8 + struct.unpack_from(f"{order}I", head, position + 4)[0]
        if group not in (2, 8) or (group, element) <= last or size % 2:
            return False
        position, last = position + size, (group, element)
    return True


def _by_content(path: Path, head: bytes) -> str | None:
    if is_dicom(head):
        return "dicom"
    if head.startswith((b"0       ", b"\xffBIOSEMI")):
        return "edf"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _by_dataset(path)
    if path.suffix.lower() == ".xml" or head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<"):
        root = _ROOT.search(head.replace(b"\0", b""))  # UTF-16 has a zero byte beside each letter
        return None if root is None else _BY_ROOT.get(root[1].decode().lower())
    return None


def _by_dataset(path: Path) -> str | None:
    from fairseq_signals.formats.hdf5 import has_link, open_hdf5

    try:
        with open_hdf5(path) as file:
            return next((reader for name, reader in _BY_DATASET.items() if has_link(file, name)), None)
    except (MemoryError, FairseqSignalsError):
        raise
    except Exception as error:  # whatever h5py raises over a damaged file
        raise SignalError(f"{path}: not a whole HDF5 file ({error}). Download it again.") from error
