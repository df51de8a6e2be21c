"""Segments as the authors' preprocessing scripts write them: MATLAB files with their fields."""

from pathlib import Path

import numpy as np


def write_segment(path: Path, feats, fs=500, **fields) -> Path:
    import scipy.io

    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"feats": feats, "curr_sample_rate": fs, **fields})
    return path


def write_record(folder: Path, name: str, signal_mv, seconds=5, fs=500, **fields) -> list:
    """Files `<name>_<k>.mat` of whole segments of a record (12, T) in mV; its tail is left out.

    `fields` go before what the PhysioNet 2021 script writes: age 0 and sex 1 for everybody, a label of 26.
    """
    label = np.zeros((1, 26), np.uint8)
    label[0, [9, 12]] = 1
    defaults = {"age": 0, "sex": 1, "label": label, "patient_id": 17, "idx": 3}
    size = seconds * fs
    return [
        write_segment(
            folder / f"{name}_{k}.mat", signal_mv[:, k * size : (k + 1) * size], fs, **{**defaults, **fields}
        )
        for k in range(signal_mv.shape[1] // size)
    ]
