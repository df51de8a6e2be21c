"""What a file is, by its first bytes: formats that are read, and others by name for the messages."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import NamedTuple

from fairseq_signals.files import open_file


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        what: it is, as messages say it.
        reader: that reads it (a key of `READERS`); "" where none does.
        advice: what to do about such a file where it is of no use, a sentence; "" where nothing special.
        kind: of rejection where no reader is for it.
    """

    what: str
    reader: str = ""
    advice: str = ""
    kind: str = "of another format"


_EDF_HEADER = 256  # bytes of one line
HEAD = 65536  #: bytes that tell
_UNPACK = "Unpack it first."
_AS_CSV = "Save the table of samples as CSV."
_PICTURE = "It is a picture of a recording at best: export the samples."
_ELSEWHERE = "It stands for a file that is elsewhere: fetch that one."
_NOT_SIGNALS = "The signals are in another file."
_MARK = b"\xef\xbb\xbf\xff\xfe \t\r\n\0"  # byte-order marks and blanks ahead of text

_DICOM = Format("a DICOM file", "dicom")
#: What a file is that has one of these marks at this place; the first that fits.
_SIGNATURES: tuple[tuple[Format, int, tuple[bytes, ...]], ...] = (
    (_DICOM, 128, (b"DICM",)),
    (Format("an EDF file", "edf"), 0, (b"0       ",)),
    (Format("a BDF file", "edf"), 0, (b"\xffBIOSEMI",)),
    (Format("an ISHNE Holter file", "ishne"), 0, (b"ISHNE1.0",)),
    (Format("an AliveCor ATC file", "atc"), 0, (b"ALIVE\0\0\0",)),
    (Format("an MFER file", "mfer"), 2, (b"MFR ",)),
    (Format("an SCP-ECG file", "scp"), 16, (b"SCPECG",)),
    (Format("a MATLAB 5 file", "authors_mat", "Leave it out."), 0, (b"MATLAB 5.0 MAT-file",)),
    (Format("a MATLAB 7.3 file (HDF5)", "authors_mat"), 0, (b"MATLAB 7.3 MAT-file",)),
    (Format("an ISHNE file of annotations", advice=_NOT_SIGNALS), 0, (b"ANN  1.0",)),
    (Format("a PDF document", advice=_PICTURE), 0, (b"%PDF-",)),
    (Format("a PostScript file", advice=_PICTURE), 0, (b"%!PS",)),
    (Format("a PNG image", advice=_PICTURE), 0, (b"\x89PNG\r\n\x1a\n",)),
    (Format("a JPEG image", advice=_PICTURE), 0, (b"\xff\xd8\xff",)),
    (Format("a GIF image", advice=_PICTURE), 0, (b"GIF8",)),
    (Format("a TIFF image", advice=_PICTURE), 0, (b"II*\0", b"MM\0*")),
    (Format("a BMP image", advice=_PICTURE), 6, (b"\0\0\0\0\x36\0\0\0\x28\0\0\0",)),
    (Format("a HEIC image", advice=_PICTURE), 4, (b"ftyphei", b"ftypmif1")),
    (Format("a WebP image", advice=_PICTURE), 8, (b"WEBP",)),
    (Format("an Office document, such as Excel writes", advice=_AS_CSV), 30, (b"[Content_Types].xml",)),
    (Format("a zip archive", advice=_UNPACK), 0, (b"PK\3\4", b"PK\5\6")),
    (Format("a gzip file", advice=_UNPACK), 0, (b"\x1f\x8b\x08",)),
    (Format("a bzip2 file", advice=_UNPACK), 0, (b"BZh",)),
    (Format("an xz file", advice=_UNPACK), 0, (b"\xfd7zXZ\0",)),
    (Format("a 7z archive", advice=_UNPACK), 0, (b"7z\xbc\xaf\x27\x1c",)),
    (Format("a RAR archive", advice=_UNPACK), 0, (b"Rar!",)),
    (Format("a Zstandard file", advice=_UNPACK), 0, (b"\x28\xb5\x2f\xfd",)),
    (Format("a tar archive", advice=_UNPACK), 257, (b"ustar",)),
    (Format("a Parquet file", "arrays"), 0, (b"PAR1",)),
    (Format("an Arrow file"), 0, (b"ARROW1",)),
    (Format("a NumPy array", "arrays"), 0, (b"\x93NUMPY",)),
    (Format("an SQLite database"), 0, (b"SQLite format 3\0",)),
    (Format("an old Office document", advice=_AS_CSV), 0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)),
    (Format("an HL7 version 2 message"), 0, (b"MSH|",)),
    (Format("an RTF document"), 0, (b"{\\rtf",)),
    (Format("a WAV or other RIFF file"), 0, (b"RIFF",)),
    (Format("a FLAC file"), 0, (b"fLaC",)),
    (Format("a pickle, which is never opened"), 0, (b"\x80\4\x95", b"\x80\5\x95")),
    (Format("a GDF file"), 0, (b"GDF 1.", b"GDF 2.")),
    (Format("a C3D file"), 0, (b"\2P",)),
    (Format("a BrainVision header"), 0, (b"Brain Vision",)),
    (Format("a Nihon Kohden EEG file"), 0, (b"EEG-1100", b"EEG-1200", b"EEG-2100")),
    (Format("a Neuroscan CNT file"), 0, (b"Version 3.0",)),
    (Format("an Axon ABF file"), 0, (b"ABF ", b"ABF2")),
    (Format("a Spike2 file"), 2, (b"(C) CED",)),
    (Format("a CED file"), 0, (b"CEDFILE",)),
    (Format("what a Mac notes about another file (._ before its name)"), 0, (b"\0\5\x16\7",)),
    (Format("a Git LFS pointer", advice=_ELSEWHERE), 0, (b"version https://git-lfs",)),
    (Format("a git-annex pointer", advice=_ELSEWHERE), 0, (b"/annex/objects",)),
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: XML files by the name of the root element in lower case.
_BY_ROOT = {
    "restingecg": Format("a GE MUSE XML file", "muse_xml"),
    "annotatedecg": Format("an HL7 aECG file", "aecg"),
    "restingecgdata": Format("a Philips XML file", "philips_xml"),
    "cardiologyxml": Format("a GE Cardiology XML file (CardioSoft)", "cardiosoft_xml"),
    "com.xiriuz.sema.xml.schilleredi.schilleredi": Format("a Schiller XML file", "schiller_xml"),
    "sapphire": Format("a GE Sapphire XML file"),
    "ecg": Format("an XML file of <ECG>, as Mortara writes"),
    "healthdata": Format("an Apple Health export", advice="Its ECGs are CSV files beside it."),
    "svg": Format("an SVG drawing", advice=_PICTURE),
    "html": Format("an HTML page", advice="Download the file itself."),
}
#: Of files whose first bytes do not tell, by the suffix.
_BY_SUFFIX = dict.fromkeys(
    (".atr", ".ari", ".qrs", ".wqrs", ".gqrs", ".sqrs", ".xws"),
    Format("a WFDB file of annotations", advice="The recording is its header (.hea)."),
)
_ROOT = re.compile(rb"<(?:[\w.\-]+:)?([A-Za-z_][\w.\-]*)[\s/>]")
#: Keys of a recording of the Kardia API, of which two are there.
_KARDIA = re.compile(
    rb'"(recordedAt|algorithmDetermination|amplitudeResolution|mainsFrequency|samples|leadI|data12L)"'
)
_GROUPS = (0x2, 0x8, 0x10, 0x18, 0x20, 0x32, 0x38, 0x3A, 0x40, 0x5400)  # of DICOM, in waveform objects
_LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")  # of elements of DICOM whose length has four bytes
_MATLAB4 = Format("a MATLAB 4 file", kind="without a header")
_WHOLE_TYPES = range(6)  # of MATLAB 4: double, single, int32, int16, uint16, uint8


def read_head(path: Path) -> bytes:
    """The first bytes of a file; b"" where it cannot be read."""
    try:
        with open_file(path) as file:
            return file.read(HEAD)
    except OSError:
        return b""


def format_of(head: bytes) -> Format | None:
    """What a file that begins with these bytes surely is; None where they do not tell."""
    for found, offset, marks in _SIGNATURES:
        is_table = found.reader == "edf" and b"\n" in head[:_EDF_HEADER]  # whose first row is number 0
        if head.startswith(marks, offset) and not is_table:
            return found
    if head.startswith(_HDF5):
        return Format("an HDF5 file of a layout that is not known")
    text = head.lstrip(_MARK).replace(b"\0", b"")  # UTF-16 has a zero byte beside each letter
    if text.startswith(b"<"):
        root = _ROOT.search(text)
        return None if root is None else _of_root(root[1].decode())
    if text.startswith(b"{") and len(set(_KARDIA.findall(text))) > 1:
        return Format("a Kardia JSON file", "kardia_json")
    if any(_begins_with_elements(head, order) for order in "<>"):
        return _DICOM
    return _MATLAB4 if _is_matlab4(head) else None


def describe(path: Path) -> Format | None:
    """What a file is, for a message; None where nobody knows."""
    head = read_head(path)
    found = format_of(head)
    if found is _MATLAB4:
        header = path.with_suffix(".hea").name
        return found._replace(
            advice=f"Its header {header}, which has gain, rate and leads, must lie beside it."
        )
    if found is not None:
        return found
    if not head.strip(b"\0"):
        return Format(
            "an empty file" if not head else "a file of zeros", advice="Export or download it again."
        )
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    text = head.lstrip(_MARK).replace(b"\0", b"")
    if text.startswith(b"{"):
        return Format("a JSON file")
    sample = text[:512]
    is_text = sample and all(byte >= 32 or byte in b"\t\r\n\f" for byte in sample)
    return Format("a text file") if is_text else None


def is_hdf5(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an HDF5 file, and no MATLAB file."""
    return head.startswith(_HDF5)


def _begins_with_elements(head: bytes, order: str) -> bool:
    """Whether there are three elements in a row, the first of groups 0002 or 0008: DICOM without its mark."""
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
        known = (2, 8) if last == (0, 0) else _GROUPS
        if group not in known or (group, element) <= last or size % 2:
            return False
        position, last = position + size, (group, element)
    return True


def _of_root(root: str) -> Format:
    return _BY_ROOT.get(root.lower(), Format(f"an XML file of <{root}>"))


def _is_matlab4(head: bytes) -> bool:
    """Whether it begins with the header of a matrix: type, rows, columns, imaginary or not, its name."""
    if len(head) < 22:
        return False
    kind, rows, columns, imaginary, length = struct.unpack_from("<5i", head)
    name = head[20 : 20 + max(length, 0)]
    return (
        kind % 10 in (0, 1, 2)
        and kind // 10 in _WHOLE_TYPES
        and rows > 0
        and columns > 0
        and imaginary in (0, 1)
        and 2 <= length <= 64
        and name.endswith(b"\0")
        and name[:-1].replace(b"_", b"").isalnum()
    )
