"""MFER files written tag by tag, from the tables of MFER Part 1: tag, length, value."""

from pathlib import Path

import numpy as np

#: Codes of leads, Table 5-17.
CODES = {
    "I": 1, "II": 2, **{f"V{i}": i + 2 for i in range(1, 7)}, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64,
    "-aVR": 65, "X": 16,
}  # fmt: skip
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
BLE, BLK, CHN, SEQ, PNT, WFM, LDN, DTP, IVL, SEN, OFF, NUL, WAV = (
    0x01, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x12, 0x1E,
)  # fmt: skip
ATT, PRE, END, PID, AGE, SEX = 0x3F, 0x40, 0x80, 0x82, 0x83, 0x84
DOMINANT_BEAT = 9


def tag(number: int, value: bytes) -> bytes:
    """A definition; lengths from 128 on are written in four bytes, big endian."""
    size = len(value)
    return bytes([number]) + (bytes([size]) if size < 128 else b"\x84" + size.to_bytes(4, "big")) + value


def channel(index: int, *definitions: bytes) -> bytes:
    """Attributes of one channel, counted from 0."""
    content = b"".join(definitions)
    return bytes([ATT, index, len(content)]) + content


def frame(values, order="little", block=None) -> bytes:
    """The samples (L, T): in each sequence a block of every channel."""
    values = np.asarray(values)
    block = values.shape[1] if block is None else block
    blocks = values.reshape(len(values), -1, block).transpose(1, 0, 2)  # (L, T) -> (sequences, L, block)
    return tag(WAV, blocks.astype("<i2" if order == "little" else ">i2").tobytes())


def head(
    n_samples: int,
    leads=LEADS,
    order="little",
    fs=500,
    block=None,
    resolution=(0, -7, 25),
    preamble=True,
    extra=b"",
    patient_id=b"4711",
) -> bytes:
    """What stands before the samples: 2.5 uV is 25 times 10**-7 V, unit 0."""
    number = lambda value, size=2: int(value).to_bytes(size, order, signed=True)  # noqa: E731
    block = n_samples if block is None else block
    unit, exponent, mantissa = resolution
    content = tag(PRE, b"MFR " + b"Standard 12 leads ECG".ljust(28)) if preamble else b""
    content += tag(BLE, bytes([order == "little"]))
    content += tag(PID, patient_id) + tag(SEX, b"\2") + tag(AGE, bytes([63]) + number(0))
    content += tag(WFM, number(1))
    content += tag(IVL, bytes([0, 0]) + number(fs, 4)) if fs else b""  # unit 0 is Hz
    content += tag(SEN, bytes([unit, exponent & 0xFF]) + number(mantissa))
    content += tag(BLK, number(block, 4)) + tag(CHN, number(len(leads)))
    content += tag(SEQ, number(n_samples // block))
    content += b"".join(channel(k, tag(LDN, number(CODES[lead]))) for k, lead in enumerate(leads))
    return content + extra


def write(path: Path, *parts: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts) + bytes([END, 0]))
    return path


def write_twelve(path: Path, values, **options) -> Path:
    """A file of one frame; options are those of `head`."""
    values = np.asarray(values)
    layout = {name: options[name] for name in ("order", "block") if name in options}
    return write(path, head(values.shape[1], **options), frame(values, **layout))
