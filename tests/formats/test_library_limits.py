"""What vendors' files announce is held against their size before a library gives memory to it."""

import base64
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from fairseq_signals.errors import SignalError
from fairseq_signals.formats.limits import capacity
from fairseq_signals.formats.registry import load_reader


@pytest.fixture
def refused_without_memory():
    """`refused_without_memory(name, path, match)`: a reader refuses a file before it takes much."""

    def check(name, path, match):
        read = load_reader(name)
        tracemalloc.start()
        try:
            with pytest.raises(SignalError, match=match):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 2**28
        finally:
            tracemalloc.stop()

    return check


@pytest.mark.parametrize("compressed", [False, True])
def test_leads_of_scp_have_no_more_samples_than_the_file_bits(
    compressed, lookalike, tmp_path, ecg_adu, refused_without_memory
):
    pytest.importorskip("ecgdatakit")
    path = lookalike("scp").write(tmp_path / "a.scp", ecg_adu(12, 700), order=1, compressed=compressed)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<II", 1, 700), struct.pack("<II", 1, 2**32 - 1)))
    refused_without_memory("scp", path, r"a lead has 4,294,967,295 samples, but the file [\d,]+ bytes")


def xli(codes):
    """A stream of 10-bit codes after its header."""
    bits = (np.asarray(codes)[:, None] >> np.arange(10)[::-1]) & 1
    data = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
    return struct.pack("<IHh", len(data), 0, 0) + data


def test_xli_that_stands_for_hours_is_refused(lookalike, tmp_path, ecg_adu, refused_without_memory):
    pytest.importorskip("ecgdatakit")
    made = lookalike("philips_xml")
    text = made.document(ecg_adu(12, 700)).replace("Uncompressed", "XLI")
    begin, end = text.index('bitspersample="16">') + 19, text.index("</parsedwaveforms>")
    stream = xli([65, *range(256, 1023), *[1022] * 30_000])  # each code repeats what was before and one more
    path = made.write(tmp_path / "a.xml", text[:begin] + base64.b64encode(stream).decode() + text[end:])
    refused_without_memory("philips_xml", path, r"38,\d{3} bytes of XLI stand for more than 16,777,216")


def test_lengths_of_xli_streams_are_those_of_the_library():
    lzw = pytest.importorskip("ecgdatakit.parsing.codecs.lzw")
    from fairseq_signals.formats.library_limits import _lzw_bytes

    rng = np.random.default_rng(0)
    codes = [65, *range(256, 700), *rng.integers(0, 700, 20_000).tolist()]
    data = xli(codes)[8:]
    assert _lzw_bytes(np.frombuffer(data, np.uint8)) == len(lzw.LzwDecoder(data, bits=10).read_all())


def deflated(lookalike, path, values, extra=b""):
    """A DICOM file whose elements are deflated, the last followed by `extra`."""
    made = lookalike("dicom")
    data = made.write(path, made.dataset(made.group(values))).read_bytes()
    begin = 144 + struct.unpack_from("<I", data, 140)[0]
    meta = data[:begin].replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    meta = meta[:140] + struct.pack("<I", len(meta) - 144) + meta[144:]
    assert len(meta) == begin + 2
    stream = zlib.compressobj(1, wbits=-15)
    path.write_bytes(meta + stream.compress(data[begin:] + extra) + stream.flush())
    return path


def test_deflated_dicom_is_read_and_a_bomb_refused(lookalike, tmp_path, ecg_adu, refused_without_memory):
    pytest.importorskip("pydicom")
    values = ecg_adu(12, 700)
    assert (load_reader("dicom")(deflated(lookalike, tmp_path / "a.dcm", values)).signal == values).all()
    n = capacity(0)
    pixels = b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", n) + bytes(n)
    path = deflated(lookalike, tmp_path / "b.dcm", values, pixels)
    refused_without_memory("dicom", path, "compressed bytes stand for more than 67,108,864")


def test_a_dicom_element_of_four_gibibytes_takes_no_memory(lookalike, tmp_path, ecg_adu):
    pytest.importorskip("pydicom")
    made, values = lookalike("dicom"), ecg_adu(12, 700)
    path = made.write(tmp_path / "a.dcm", made.dataset(made.group(values)))
    path.write_bytes(path.read_bytes() + b"\xe0\x7f\x10\x00OB\0\0\xfe\xff\xff\xff")
    read = load_reader("dicom")
    tracemalloc.start()
    try:
        assert (read(path).signal == values).all()
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()
