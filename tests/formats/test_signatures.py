"""Every message names the format that a file really has, also where no reader is for it."""

import struct

import numpy as np
import pytest

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.detect import detect_reader
from fairseq_signals.formats.registry import READERS, read_with
from fairseq_signals.formats.signatures import describe, format_of

MATLAB4 = struct.pack("<5i", 30, 12, 100, 0, 4) + b"val\0" + bytes(2400)
#: First bytes of files that are not read, and what they are called.
OTHERS = {
    "a PDF document": b"%PDF-1.7\n",
    "a PNG image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a JPEG image": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a TIFF image": b"II*\0\x08\0\0\0",
    "an Office document, such as Excel writes": b"PK\3\4" + bytes(26) + b"[Content_Types].xml",
    "a BMP image": b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0",
    "a pickle, which is never opened": b"\x80\4\x95\x10\0",
    "a zip archive": b"PK\3\4\x14\0\0\0",
    "a gzip file": b"\x1f\x8b\x08\0\0\0\0\0",
    "a C3D file": b"\2P" + bytes(510),
    "a GDF file": b"GDF 2.20" + bytes(248),
    "a Nihon Kohden EEG file": b"EEG-1100A V01.00",
    "a BrainVision header": b"Brain Vision Data Exchange Header File Version 1.0",
    "an ISHNE file of annotations": b"ANN  1.0" + bytes(600),
    "a MATLAB 4 file": MATLAB4,
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "an SVG drawing": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "an HTML page": b"<!DOCTYPE html>\n<html><body>Please log in</body></html>",
    "an XML file of <plist>": '<?xml version="1.0" encoding="UTF-16"?><plist/>'.encode("utf-16"),
    "an empty file": b"",
    "a file of zeros": bytes(300),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_file_that_is_not_read_is_called_what_it_is(tmp_path, what):
    for name in ("a", "a.xml"):
        path = tmp_path / name
        path.write_bytes(OTHERS[what])
        assert describe(path).what == what
        with pytest.raises(
            SignalError, match="for which there is no reader" if path.stat().st_size else "empty"
        ):
            detect_reader(path)


@pytest.mark.parametrize("reader", [name for name in READERS if name != "wfdb" and "hdf5" not in name])
def test_a_reader_that_is_given_another_format_names_it(reader, tmp_path):
    pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")
    for what, content in {**OTHERS, "an ISHNE Holter file": b"ISHNE1.0"}.items():
        if reader == "ishne" and "ISHNE" in what:
            continue
        path = tmp_path / "a"
        path.write_bytes(content)
        with pytest.raises(SignalError, match="record r: a is not a") as error:
            read_with(reader, path, "r")
        assert what in str(error.value)
        assert error.value.kind == "of another format"


def test_a_challenge_file_without_its_header_asks_for_it(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "A0001", ecg_adu(), suffix=".mat")
    (tmp_path / "A0001.hea").unlink()
    with pytest.raises(SignalError, match=r"is a MATLAB 4 file.* header A0001\.hea, which has gain") as error:
        detect_reader(tmp_path / "A0001.mat")
    assert error.value.kind == "without a header"
    with pytest.raises(SignalError, match=r"A0001\.hea"):
        read_with("authors_mat", tmp_path / "A0001.mat")


@pytest.mark.parametrize("kind", [0, 10, 20, 30, 40, 50])
def test_matlab_4_files_of_every_type_are_known(kind):
    head = struct.pack("<5i", kind, 2, 3, 0, 4) + b"val\0" + bytes(48)
    assert format_of(head).what == "a MATLAB 4 file"


def test_noise_is_of_no_format():
    rng = np.random.default_rng(0)
    named = [found.what for _ in range(300) if (found := format_of(rng.bytes(600))) is not None]
    assert not named


def test_annotations_of_wfdb_are_told_by_their_suffix(tmp_path):
    (tmp_path / "100.atr").write_bytes(b"\x12\x70\x03\x04\xc5\x04")
    with pytest.raises(SignalError, match=r"100\.atr is a WFDB file of annotations.* header \(\.hea\)"):
        detect_reader(tmp_path / "100.atr")


def test_hints_say_what_to_do(tmp_path):
    for content, hint in (
        (OTHERS["a gzip file"], "Unpack it"),
        (MATLAB4, "a.hea"),
        (b"%PDF-1", "export the samples"),
    ):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(SignalError, match=hint):
            detect_reader(tmp_path / "a")
