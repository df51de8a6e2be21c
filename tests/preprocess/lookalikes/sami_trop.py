"""A folder in the layout of SaMi-Trop: exams.csv, and exams.hdf5 whose rows have no names of their own."""

import csv
from pathlib import Path

import numpy as np

COLUMNS = ["exam_id", "age", "is_male", "normal_ecg", "death", "timey", "nn_predicted_age"]
N_SAMPLES = 4096
#: Number of samples, and the row of exams.csv.
EXAMS = [
    (2800, ("294669", "66", "True", "False", "False", "2.14", "62.79")),
    (4000, ("291209", "31", "False", "True", "True", "1.5", "44.08")),
    (4096, ("248287", "59", "True", "False", "False", "2.08", "73.2")),
]


def tracing(n_samples: int, seed: int) -> np.ndarray:
    """Millivolt (n_samples, 12), float32."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 0.05, (n_samples, 12)), axis=0).astype(np.float32)


def make(root: Path, *_) -> Path:
    """Write the corpus below `root` and return its folder."""
    import h5py

    folder = root / "sami_trop"
    folder.mkdir(parents=True)
    with (folder / "exams.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *(row for _, row in EXAMS)])
    padded = np.zeros((len(EXAMS), N_SAMPLES, 12), np.float32)
    for i, (n_samples, _) in enumerate(EXAMS):
        before = (N_SAMPLES - n_samples) // 2
        padded[i, before : before + n_samples] = tracing(n_samples, seed=i)
    with h5py.File(folder / "exams.hdf5", "w") as file:
        file["tracings"] = padded
    return folder
