"""WFDB records of format 16 written by hand, as `.dat` or as the `.mat` files of the challenges."""

from pathlib import Path

import numpy as np

from fairseq_signals.ecg.leads import LEADS


def _each(value, n):
    return list(value) if isinstance(value, (list, tuple)) else [value] * n


def write(
    folder,
    name,
    adu,
    leads=LEADS,
    fs=500,
    gain=1000,
    baseline=0,
    units="mV",
    comments=(),
    suffix=".dat",
    record_line=None,
) -> Path:
    """A record of the samples (L, T); returns its header.

    A list for `gain`, `baseline` or `units` gives one value a lead. With `suffix=".mat"` the samples follow a
    MATLAB version 4 header, as in the PhysioNet/CinC challenges.
    """
    adu = np.asarray(adu)
    n_leads, n_samples = adu.shape
    data = np.ascontiguousarray(adu.T).astype("<i2").tobytes()
    storage = "16"
    if suffix == ".mat":
        storage = "16+24"
        data = np.array([30, n_leads, n_samples, 0, 4], "<i4").tobytes() + b"val\0" + data
    lines = [record_line or f"{name} {n_leads} {fs} {n_samples}"]
    for lead, g, b, u in zip(leads, _each(gain, n_leads), _each(baseline, n_leads), _each(units, n_leads)):
        lines.append(f"{name}{suffix} {storage} {g}({b})/{u} 16 0 0 0 0 {lead}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}{suffix}").write_bytes(data)
    header = folder / f"{name}.hea"
    header.write_text("\n".join([*lines, *(f"#{comment}" for comment in comments)]) + "\n")
    return header
