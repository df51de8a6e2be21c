"""EDF, EDF+ and BDF files written byte by byte, from https://www.edfplus.info/specs/edf.html."""

from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def each(value, n):
    return list(value) if isinstance(value, (list, tuple)) else [value] * n


def write(
    path: Path,
    signals,
    labels=LEADS,
    per_record=500,
    duration="1",
    units="uV",
    physical=("-3276.8", "3276.7"),
    digital=("-32768", "32767"),
    patient="MCH-0234567 F 02-MAY-1951 Haagse_Harry",
    recording="Startdate 02-MAR-2002 EMG561 BK/JOP Sony. MNC R Median Nerve.",
    reserved="EDF+C",
    n_records=None,
    onsets=None,
    bdf=False,
) -> Path:
    """A file of the signals, each (T,), in data records of `per_record` samples (a list: of each signal).

    `onsets` gives the second at which each data record starts, for the annotation signal of EDF+.
    """
    signals = [np.asarray(values) for values in signals]
    n = len(signals)
    per_record = each(per_record, n)
    physical = physical if isinstance(physical, list) else [physical] * n
    counts = {len(values) // size for values, size in zip(signals, per_record)}
    (count,) = counts
    fields = [
        [f"{label}" for label in labels],
        ["AgAgCl electrode"] * n,
        each(units, n),
        [low for low, _ in physical],
        [high for _, high in physical],
        [digital[0]] * n,
        [digital[1]] * n,
        ["HP:0.05Hz LP:150Hz"] * n,
        [str(size) for size in per_record],
        [""] * n,
    ]
    n_annotations = 0
    if onsets is not None:
        n_annotations = 30
        extra = ["BDF Annotations" if bdf else "EDF Annotations", "", "", "-1", "1", "-32768", "32767", "",
                 str(n_annotations), ""]  # fmt: skip
        for field, value in zip(fields, extra):
            field.append(value)
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    n_all = len(fields[0])
    head = (b"\xffBIOSEMI" if bdf else b"0       ") + b"".join(
        text.ljust(width).encode("latin-1")
        for text, width in (
            (patient, 80), (recording, 80), ("02.03.02", 8), ("09.17.34", 8), (str(256 * (1 + n_all)), 8),
            (reserved, 44), (str(count if n_records is None else n_records), 8), (duration, 8),
            (str(n_all), 4),
        )
    )  # fmt: skip
    head += b"".join(
        text.ljust(width).encode("latin-1") for width, field in zip(widths, fields) for text in field
    )
    assert len(head) == 256 * (1 + n_all)
    body = []
    for k in range(count):
        for values, size in zip(signals, per_record):
            body.append(_samples(values[k * size : (k + 1) * size], bdf))
        if onsets is not None:
            text = f"+{onsets[k]}\x14\x14\0".encode()
            body.append(text.ljust(n_annotations * (3 if bdf else 2), b"\0"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"".join(body))
    return path


def _samples(values: np.ndarray, bdf: bool) -> bytes:
    if not bdf:
        return values.astype("<i2").tobytes()
    return values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
