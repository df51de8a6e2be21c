"""A folder in the layout of set-a of CinC 2011: aVR, aVF, aVL in this order, and lists of two qualities."""

from pathlib import Path

import numpy as np

ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
QUALITY = {"1000001": "acceptable", "1000002": "unacceptable", "1000003": "indeterminate"}


def signals(ecg_adu, seed: int) -> np.ndarray:
    """Twelve leads in ADC units in the order of the challenge; limb leads follow from I and II."""
    adu = ecg_adu(12, 2500, seed)
    i, ii = (adu[:2] // 2 * 2).astype(np.int16)
    return np.array([i, ii, ii - i, -(i + ii) // 2, ii - i // 2, i - ii // 2, *adu[6:]], np.int16)


def make(root: Path, write_wfdb, ecg_adu, names=ORDER) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "set-a"
    for seed, record in enumerate(QUALITY):
        write_wfdb(folder, record, signals(ecg_adu, seed), names, gain=200)
    for quality in ("acceptable", "unacceptable"):
        listed = [record for record, known in QUALITY.items() if known == quality]
        (folder / f"RECORDS-{quality}").write_text("".join(f"{record}\n" for record in listed))
    return folder
