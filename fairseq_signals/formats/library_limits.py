"""What SCP-ECG, Philips XML and DICOM files announce, held against their size before libraries believe it.

All of these raise ValueError where a file cannot be as it says; where it is damaged otherwise, its library
tells why.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator

import numpy as np

from fairseq_signals.formats.limits import inflate
from fairseq_signals.formats.xml import Element

_XLI_BYTES = 2**24  # of samples: 23 minutes of 12 leads at 500 Hz
_CODE_BITS, _LAST_CODE = 10, 1022  # of XLI's LZW
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BEGIN, _META_LENGTH = 144, b"\x02\x00\x00\x00UL\x04\x00"


def require_scp(data: bytes) -> None:
    """Refuse an SCP-ECG file whose leads or beats have more samples than bits. Layout as in EN 1064."""
    bodies: dict[int, bytes] = {}
    for position in range(22, min(len(data), 6 + int.from_bytes(data[10:14], "little")) - 9, 10):
        number, length, index = struct.unpack_from("<HII", data, position)
        if 0 < number < 12 and index:
            bodies[number] = data[index + 15 : index - 1 + length]  # after a header of 16 bytes
    leads, beats, rhythm = (bodies.get(number, b"") for number in (3, 4, 5))
    counts = []
    for position in range(2, min(len(leads) - 8, 2 + 9 * leads[0] if leads else 0), 9):
        first, last = struct.unpack_from("<II", leads, position)
        counts.append(last - first + 1)
    if len(beats) > 1 and len(rhythm) > 3 and (interval_us := int.from_bytes(rhythm[2:4], "little")):
        counts.append(int.from_bytes(beats[:2], "little") * 1000 // interval_us)
    if counts and max(counts) > 8 * len(data):
        raise ValueError(f"a lead has {max(counts):,} samples, but the file {len(data):,} bytes")


def require_xli(root: Element) -> None:
    """Refuse waveforms of Philips XML that stand for more than XLI is used for: minutes."""
    for waveforms in root.iter("parsedwaveforms"):
        if "XLI" not in (value.upper() for value in waveforms.attrib.values()):
            continue
        try:
            data = base64.b64decode("".join(waveforms.itertext()))
        except binascii.Error:
            continue
        n_bytes = sum(map(_lzw_bytes, _xli_chunks(data)))
        if n_bytes > _XLI_BYTES:
            raise ValueError(f"{len(data):,} bytes of XLI stand for more than {_XLI_BYTES:,}")


def _xli_chunks(data: bytes) -> Iterator[np.ndarray]:
    """The streams of the leads, each after its size and four more bytes."""
    position = 0
    while position + 8 <= len(data):
        begin, position = position + 8, position + 8 + int.from_bytes(data[position : position + 4], "little")
        yield np.frombuffer(data[begin:position], np.uint8)


def _lzw_bytes(data: np.ndarray) -> int:
    """How many bytes a stream stands for; of a short one as many as it could."""
    n_codes = 8 * len(data) // _CODE_BITS
    at_most = n_codes * min(n_codes, _LAST_CODE)
    if at_most <= _XLI_BYTES // 16:  # as of a resting ECG, whose leads need no closer look
        return at_most
    bits = np.unpackbits(data)[: n_codes * _CODE_BITS].reshape(n_codes, _CODE_BITS)
    codes = (bits @ (1 << np.arange(_CODE_BITS)[::-1])).tolist()
    lengths, next_code, before, total = [1] * 256 + [0] * 768, 256, 0, 0
    for code in codes:
        if code > _LAST_CODE:
            break
        now = lengths[code] or before + 1
        lengths[code] = now
        if before and next_code <= _LAST_CODE:
            lengths[next_code], next_code = before + 1, next_code + 1
        before = now
        total += now
    return total


def require_dicom(data: bytes) -> None:
    """Refuse a deflated DICOM file that stands for more than its size can hold."""
    if _DEFLATED not in data[:4096]:
        return
    if data[132:140] != _META_LENGTH:
        raise ValueError("it is deflated, and does not say from where on")
    inflate(data[_META_BEGIN + int.from_bytes(data[140:144], "little") :], -15)
