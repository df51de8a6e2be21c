"""ISHNE Holter files written byte by byte, from Table 1 of Badilini 1998 (offsets are those of the file)."""

import binascii
import struct
from pathlib import Path

import numpy as np

#: Codes of leads; 0 is unknown, 1 generic bipolar, 2 to 4 are X, Y and Z.
CODES = {
    "I": 5, "II": 6, "III": 7, "aVR": 8, "aVL": 9, "aVF": 10, **{f"V{i}": 10 + i for i in range(1, 7)},
    "ES": 17, "AS": 18, "AI": 19, "unknown": 0, "bipolar": 1,
}  # fmt: skip
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FAULT = -32768


def write(
    path: Path,
    values,
    leads=LEADS,
    fs=500,
    resolution_nv=2500,
    n_announced=None,
    comment=b"",
    checksum=None,
    patient_id=b"4711",
    sex=2,
    born=(5, 4, 1957),
    recorded=(7, 6, 2020),
) -> Path:
    """A file of the samples (L, T); `resolution_nv` may be a list, one a lead; dates are day, month, year."""
    values = np.asarray(values)
    n = len(values)
    resolutions = resolution_nv if isinstance(resolution_nv, list) else [resolution_nv] * n
    fixed = bytearray(522)
    put = lambda offset, form, *fields: struct.pack_into("<" + form, fixed, offset, *fields)  # noqa: E731
    fixed[:8] = b"ISHNE1.0"
    put(10, "i", len(comment))  # size of the variable-length block
    put(14, "i", values.shape[1] if n_announced is None else n_announced)
    put(18, "2i", 522, 522 + len(comment))  # where the variable-length block and the samples begin
    put(26, "h", 1)  # version
    put(28, "40s40s20s", b"Jane", b"Doe", patient_id)
    put(128, "2h", sex, 0)
    put(132, "3h", *born)
    put(138, "3h", *recorded)
    put(144, "3h", *recorded)  # of the file
    put(150, "3h", 10, 11, 12)  # start: hour, minute, second
    put(156, "h", n)
    for k in range(12):  # absent leads are -9
        put(158 + 2 * k, "h", CODES[leads[k]] if k < n else -9)
        put(182 + 2 * k, "h", 1 if k < n else -9)
        put(206 + 2 * k, "h", resolutions[k] if k < n else -9)
    put(230, "h", 0)  # pacemaker
    put(232, "40s", b"digital")
    put(272, "h", fs)
    rest = bytes(fixed[10:]) + comment
    struct.pack_into("<H", fixed, 8, binascii.crc_hqx(rest, 0xFFFF) if checksum is None else checksum)
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.ascontiguousarray(values.T).astype("<i2").tobytes()
    path.write_bytes(bytes(fixed[:10]) + rest + samples)
    return path
