"""SCP-ECG files written byte by byte (EN 1064): sections 0, 1, 3 and 6, and 2, 4 and 5 where asked for."""

import binascii
import struct
from pathlib import Path

import numpy as np

#: Lead codes of section 3.
CODES = {
    "I": 1, "II": 2, **{f"V{i}": i + 2 for i in range(1, 7)},
    "III": 61, "aVR": 62, "aVL": 63, "aVF": 64, "V7": 9, "X": 16,
}  # fmt: skip
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
AGE = {"years": 1, "months": 2, "weeks": 3, "days": 4}


def differences(values: np.ndarray, order: int) -> np.ndarray:
    """The values themselves, or their first or second differences with the first one or two values ahead."""
    values = values.astype(np.int64)
    return np.concatenate((values[:order], np.diff(values, order))) if order else values


def huffman(values: np.ndarray) -> bytes:
    """The values in the default table of section 2: bits, the first one the highest of the first byte."""
    bits = []
    for value in values.tolist():
        size = abs(value)
        if size == 0:
            bits.append("0")
        elif size <= 8:
            bits.append("1" * size + "0" + ("1" if value < 0 else "0"))
        elif -128 <= value <= 127:
            bits.append("1" * 9 + "0" + f"{value & 0xFF:08b}")
        else:
            bits.append("1" * 10 + f"{value & 0xFFFF:016b}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def section(number: int, body: bytes, version: int = 20) -> bytes:
    body += b"\0" * (len(body) % 2)
    rest = struct.pack("<HI2B6x", number, 16 + len(body), version, version) + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def tag(number: int, value: bytes) -> bytes:
    return struct.pack("<BH", number, len(value)) + value


def person(patient_id="4711", age=(63, "years"), sex=2, born=(1957, 4, 5), recorded=(2020, 6, 7)) -> bytes:
    """Section 1."""
    tags = [tag(2, patient_id.encode() + b"\0")]
    if age:
        tags.append(tag(4, struct.pack("<HB", age[0], AGE[age[1]])))
    if born:
        tags.append(tag(5, struct.pack("<HBB", *born)))
    tags.append(tag(8, bytes([sex])))
    tags.append(tag(14, bytes(14) + bytes([20, 0xC0, 0, 8]) + bytes(18) + b"prog\0" + b"\0" * 5))
    tags.append(tag(25, struct.pack("<HBB", *recorded)))
    return section(1, b"".join(tags) + tag(255, b""))


def lead_definitions(leads, n_samples, flags, starts=None) -> bytes:
    """Section 3."""
    starts = [1] * len(leads) if starts is None else starts
    body = struct.pack("<BB", len(leads), flags)
    for lead, start in zip(leads, starts):
        body += struct.pack("<IIB", start, start + n_samples - 1, CODES[lead])
    return section(3, body)


def signals(number: int, rows: list, avm: int, interval_us: int, order: int, flag: int = 0) -> bytes:
    """Section 5 or 6."""
    body = struct.pack("<HHBB", avm, interval_us, order, flag)
    return section(number, body + b"".join(struct.pack("<H", len(row)) for row in rows) + b"".join(rows))


def write(
    path: Path,
    values,
    leads=LEADS,
    avm=2500,
    interval_us=2000,
    order=0,
    compressed=False,
    beat=None,
    beat_positions=(),
    bimodal=False,
    starts=None,
    checksum=None,
    **who,
) -> Path:
    """A file of the leads (L, T) in units of `avm` nV.

    Args:
        order: 0, 1 or 2: stored are the values, or their first or second differences.
        compressed: with the default Huffman table.
        beat: (L, N) a reference beat that is subtracted where `beat_positions` (0-based samples) say.
        checksum: of the whole file, instead of the right one.
    """
    values = np.asarray(values)
    encode = huffman if compressed else lambda row: row.astype("<i2").tobytes()
    sections = [person(**who)]
    if compressed:
        sections.append(section(2, struct.pack("<H", 19999)))
    flags = 4 | len(leads) << 3 | (beat is not None)
    sections.append(lead_definitions(leads, values.shape[1], flags & 0xFF, starts))
    rest = values
    if beat is not None:
        beat = np.asarray(beat)
        length = beat.shape[1]
        fiducial = length // 2
        rest = values.astype(np.int64)
        body = struct.pack("<HHH", length * interval_us // 1000, fiducial, len(beat_positions))
        for first in beat_positions:
            rest[:, first : first + length] -= beat
            body += struct.pack("<HIII", 0, first + 1, first + fiducial, first + length)
        body += b"".join(struct.pack("<II", first + 1, first + length) for first in beat_positions)
        sections.append(section(4, body))
        sections.append(
            signals(5, [encode(differences(row, order)) for row in beat], avm, interval_us, order)
        )
    rows = [encode(differences(row, order)) for row in rest]
    sections.append(signals(6, rows, avm, interval_us, order, int(bimodal)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(with_pointers(sections, checksum))
    return path


def with_pointers(sections: list, checksum=None) -> bytes:
    """A whole file: section 0, which says where the others are, and the others."""
    by_number = {struct.unpack_from("<H", data, 2)[0]: data for data in sections}
    position = 6 + 16 + 120
    pointers = struct.pack("<HII", 0, 136, 7)
    for number in range(1, 12):
        data = by_number.get(number, b"")
        pointers += struct.pack("<HII", number, len(data), position + 1 if data else 0)
        position += len(data)
    rest = struct.pack("<HI2B6s", 0, 136, 20, 20, b"SCPECG") + pointers
    first = struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest
    content = first + b"".join(by_number[number] for number in sorted(by_number))
    whole = struct.pack("<I", 6 + len(content)) + content
    return struct.pack("<H", binascii.crc_hqx(whole, 0xFFFF) if checksum is None else checksum) + whole
