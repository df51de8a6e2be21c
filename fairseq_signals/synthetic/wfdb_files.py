"""Writing records as WFDB files in the layout of PhysioNet/CinC 2021: `.hea` and MATLAB v4 `.mat`."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.files import whole_file
from fairseq_signals.synthetic.record import ADC_GAIN, SyntheticRecord

NOTICE = "computed by a dipole model, not measured on any person"
_MAT4_INT16 = 30  # MATLAB level 4: little endian, full matrix of int16


def mat4_bytes(adu: np.ndarray) -> bytes:
    """A MATLAB v4 file with one variable, `val` of shape (12, T) int16; its header takes 24 bytes."""
    header = struct.pack("<5i", _MAT4_INT16, *adu.shape, 0, 4) + b"val\0"
    return header + adu.astype("<i2").tobytes(order="F")


def header_text(record: SyntheticRecord, record_id: str) -> str:
    """The `.hea` file: record line, one line a lead with its first value and checksum, comments."""
    leads, n = record.adu.shape
    lines = [f"{record_id} {leads} {record.fs} {n}"]
    checksums = record.adu.sum(axis=1, dtype=np.int64).astype(np.int16)  # modulo 2**16, signed
    for lead, first, checksum in zip(LEADS, record.adu[:, 0], checksums):
        lines.append(f"{record_id}.mat 16x1+24 {ADC_GAIN:.1f}(0)/mV 16 0 {first} {checksum} 0 {lead}")
    lines += [
        f"# Age: {'NaN' if record.age is None else record.age}",
        f"# Sex: {'Female' if record.female else 'Male'}",
        f"# Dx: {','.join(record.codes)}",
        "# Rx: Unknown",
        "# Hx: Unknown",
        "# Sx: Unknown",
        f"# Patient ID: {record.patient_id}",
        f"# Synthetic: {NOTICE}",
    ]
    return "\n".join(lines) + "\n"


def write_record(record: SyntheticRecord, record_id: str, folder: Path) -> None:
    """Write `<record_id>.mat`, then `<record_id>.hea`, each whole or not at all; a header means done."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / f"{record_id}.mat", durable=False, prepared=True) as path:
        path.write_bytes(mat4_bytes(record.adu))
    with whole_file(folder / f"{record_id}.hea", durable=False, prepared=True) as path:
        path.write_text(header_text(record, record_id), encoding="ascii")
