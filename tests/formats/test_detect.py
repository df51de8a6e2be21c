"""A file's reader is found by its suffix or its first bytes; what is none is said to be none."""

import contextlib
import re

import pytest

from fairseq_signals.errors import MissingLibraryError, SignalError
from fairseq_signals.formats.detect import MANY_RECORDS, detect_reader
from fairseq_signals.formats.registry import READERS, read_with


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("a.DCM", b"?", "dicom"),
        ("a.edf", b"?", "edf"),
        ("a.bdf", b"?", "edf"),
        ("a.scp", b"?", "scp"),
        ("a.ecg", b"\1\2" + bytes(14) + b"SCPECG", "scp"),
        ("a.ecg", b"ISHNE1.0", "ishne"),
        ("a.scp", b"ISHNE1.0", "ishne"),
        ("a.mwf", b"\1\1\1", "mfer"),
        ("a", b"@ MFR Standard 12 leads", "mfer"),
        ("a.bin", b"ALIVE\0\0\0\5\0\0\0", "atc"),
        ("a.json", b'{"id": 1, "recordedAt": "", "data": {"raw": {"samples": {"leadI": [', "kardia_json"),
        ("a.xml", b"<CardiologyXML>", "cardiosoft_xml"),
        ("a.xml", b"<com.xiriuz.sema.xml.schillerEDI.SchillerEDI>", "schiller_xml"),
        ("HR00001_0.mat", b"?", "authors_mat"),
        ("1.2.840.1", b"\0" * 128 + b"DICM", "dicom"),
        ("a", b"0       X X X X", "edf"),
        ("a.txt", b"0       0.1 0.2\n1       0.1 0.3\n", "number_table"),
        ("a", b"\xffBIOSEMI", "edf"),
        ("a.xml", b'<?xml version="1.0"?>\n<!-- x --><RestingECG>', "muse_xml"),
        ("a.xml", b'<?xml version="1.0"?><AnnotatedECG xmlns="urn:hl7-org:v3">', "aecg"),
        ("a.xml", b"<hl7:AnnotatedECG>", "aecg"),
        ("a.dat", b"0       " + b" " * 248, "edf"),
        ("a.XML", '<?xml version="1.0" encoding="UTF-16"?><restingecgdata>'.encode("utf-16"), "philips_xml"),
        ("a.export", b"\xef\xbb\xbf<restingecgdata >", "philips_xml"),
    ],
)
def test_a_reader_is_found_by_suffix_or_content(tmp_path, name, content, reader):
    (tmp_path / name).write_bytes(content)
    assert reader in READERS
    assert detect_reader(tmp_path / name) == reader


def test_a_wfdb_record_is_found_with_and_without_a_suffix(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "r", ecg_adu())
    write_wfdb(tmp_path, "m", ecg_adu(), suffix=".mat")
    for name in ("r", "r.hea", "r.dat", "m", "m.hea", "m.mat"):
        assert detect_reader(tmp_path / name) == "wfdb", name


@pytest.mark.parametrize(
    ("datasets", "reader"),
    [
        ({"tracings": ((2, 4096, 12), "f4"), "exam_id": ((2,), "i8")}, "code15_hdf5"),
        ({"tracings": ((2, 4096, 12), "f8")}, "code15_hdf5"),
        ({"ecg": ((12, 5000), "f2")}, "sph_hdf5"),
        ({"tracings": ((2, 5000, 12), "f4")}, None),
        ({"tracings": ((2, 4096, 8), "f4")}, None),
        ({"ecg": ((12, 5000), "f8")}, None),
        ({"ecg": ((5000, 12), "f2")}, None),
        ({"ecg": ((12, 5000), "f2"), "fs": ((), "f8")}, None),
        ({"other": ((12, 5000), "f2")}, None),
    ],
)
def test_hdf5_files_are_told_apart_by_their_whole_layout(tmp_path, datasets, reader):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, (shape, dtype) in datasets.items():
            file.create_dataset(name, shape, dtype)
    if reader is not None:
        assert detect_reader(tmp_path / "a.h5") == reader
        assert (reader in MANY_RECORDS) == ("tracings" in datasets)
        return
    name, (shape, _) = next(iter(datasets.items()))
    found = re.escape(f"an HDF5 file of {name} {shape}")
    with pytest.raises(SignalError, match=f"is {found}"):
        detect_reader(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"\1\2\3", "neither its suffix nor its first bytes"),
        ("a.bin", b"hello", "is a text file, for which there is no reader"),
        ("a.xml", b"<svg></svg>", "is an SVG drawing, for which there is no reader"),
        ("a.dat", b"\0\0", "there is no header a.hea beside it"),
        ("a.dat", b"%PDF-1.4", "a.dat is a PDF document"),
        ("a.h5", b"\x89HDF\r\n\x1a\n cut", "not a whole HDF5 file"),
    ],
)
def test_what_no_reader_is_for_is_refused(tmp_path, name, content, message):
    pytest.importorskip("h5py")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SignalError, match=message):
        detect_reader(tmp_path / name)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(SignalError, match=r"nothing: there is no such file, and no WFDB record of that name"):
        detect_reader(tmp_path / "nothing")
    with pytest.raises(SignalError, match=r"nothing\.hea: there is no such file$"):
        detect_reader(tmp_path / "nothing.hea")


@pytest.mark.parametrize(
    "name", ["x" * 300, "x" * 300 + ".edf", "x" * 5000, "a\0b", "a\0.hdf5", "\udcff.dcm"]
)
def test_a_name_that_no_file_can_have_is_that_of_no_file(tmp_path, name):
    with pytest.raises(SignalError, match="there is no such file") as raised:
        detect_reader(tmp_path / name)
    assert raised.value.kind == "without a signal file"


@pytest.mark.shared
def test_files_of_other_formats_are_read_by_the_reader_that_is_found(shared_dir):
    folder = shared_dir / "real_ecg" / "edge_other_formats"
    expected = {".dcm": "dicom", ".scp": "scp"}
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".dcm", ".scp", ".xml"):
            found[path] = detect_reader(path)
    if not found:
        pytest.skip(f"no such file below {folder}")
    for path, reader in found.items():
        assert expected.get(path.suffix.lower(), reader) == reader
        with contextlib.suppress(MissingLibraryError):
            assert read_with(reader, path).leads, path
