"""AliveCor ATC files written block by block, from "ATC File Format Specification 1.7"."""

import struct
from pathlib import Path

import numpy as np

BLOCKS = {
    "I": b"ecg ", "II": b"ecg2", "III": b"ecg3", "aVR": b"ecg4", "aVL": b"ecg5", "aVF": b"ecg6",
    "V1": b"ecg7", "V2": b"ecg8", "V3": b"ecg9", "V4": b"ecga", "V5": b"ecgb", "V6": b"ecgc",
}  # fmt: skip


def block(name: bytes, data: bytes, checksum=sum) -> bytes:
    content = name + struct.pack("<I", len(data)) + data
    return content + struct.pack("<I", checksum(content) & 0xFFFFFFFF)


def info() -> bytes:
    texts = (
        b"2010-12-08T15:54:23.245+10:00",
        b"58E0A7D7",
        b"",
        b"iPhone",
        b"AliveECG 1.6.7",
        b"kardia",
        b"SN=1",
    )
    return block(b"info", struct.pack("<32s40s44s32s32s32s52s", *texts))


def fmt(fs=300, resolution_nv=500, kind=1) -> bytes:
    """Format of samples (1: 16 bits), sampling rate, resolution, flags, and two reserved bytes."""
    return block(b"fmt ", struct.pack("<BHHBH", kind, fs, resolution_nv, 14, 0))


def write(path: Path, values, leads=tuple(BLOCKS), fs=300, checksum=sum, head=None) -> Path:
    """The samples (L, T), with an averaged beat before and an annotation behind them."""
    parts = [b"ALIVE\0\0\0" + struct.pack("<I", 5), info(), fmt(fs) if head is None else head]
    parts.append(block(b"avg ", np.arange(450, dtype="<i2").tobytes()))
    for lead, row in zip(leads, np.asarray(values)):
        parts.append(block(BLOCKS[lead], row.astype("<i2").tobytes(), checksum))
    parts.append(block(b"ann ", struct.pack("<IIH", fs, 150, 1)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path
