"""A folder in the layout of CODE-15% 1.0.0: exams.csv and parts of float32 tracings, zero-padded to 4096."""

from pathlib import Path

import numpy as np

from tests.preprocess.lookalikes.tables import write_table

COLUMNS = [
    "exam_id", "age", "is_male", "nn_predicted_age", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "patient_id",
    "death", "timey", "normal_ecg", "trace_file",
]  # fmt: skip
FALSE = dict.fromkeys(("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF"), "False")
N_SAMPLES = 4096
#: Exams as in exams.csv, not in the order of the parts, and how many samples each has.
EXAMS = [
    (4096, {
        **FALSE, "exam_id": "1169160", "age": "38", "is_male": "True", "nn_predicted_age": "40.160484",
        "patient_id": "523632", "death": "False", "timey": "2.098628", "normal_ecg": "True",
        "trace_file": "exams_part1.hdf5",
    }),
    (2934, {
        **FALSE, "exam_id": "2873686", "age": "73", "is_male": "False", "nn_predicted_age": "67.05944",
        "1dAVb": "True", "AF": "True", "patient_id": "1724173", "normal_ecg": "False",
        "trace_file": "exams_part0.hdf5",
    }),
    (2800, {
        **FALSE, "exam_id": "168405", "age": "67", "is_male": "True", "nn_predicted_age": "79.62174",
        "SB": "True", "patient_id": "523632", "normal_ecg": "False", "trace_file": "exams_part0.hdf5",
    }),
    (4001, {
        **FALSE, "exam_id": "271011", "age": "41", "is_male": "False", "nn_predicted_age": "69.75026",
        "patient_id": "1737282", "death": "True", "timey": "0.5", "normal_ecg": "False",
        "trace_file": "exams_part0.hdf5",
    }),
]  # fmt: skip


def tracing(n_samples: int, seed: int) -> np.ndarray:
    """Millivolt (n_samples, 12), float32 off every ADC grid, as resampled recordings are."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.05, (n_samples, 12))
    return (np.cumsum(steps, axis=0) * np.linspace(0.2, 3, 12)).astype(np.float32)


def pad(signal: np.ndarray) -> np.ndarray:
    """As many zeros before as after, one more after where that is odd."""
    missing = N_SAMPLES - len(signal)
    return np.pad(signal, ((missing // 2, missing - missing // 2), (0, 0)))


def make(root: Path, *_) -> Path:
    """Write the corpus below `root` and return its folder."""
    import h5py

    folder = root / "code15"
    folder.mkdir(parents=True)
    write_table(folder / "exams.csv", COLUMNS, [row for _, row in EXAMS])
    for part in sorted({row["trace_file"] for _, row in EXAMS}):
        exams = [(n, int(row["exam_id"])) for n, row in EXAMS if row["trace_file"] == part]
        padded = [pad(tracing(n, exam_id)) for n, exam_id in exams] + [np.zeros((N_SAMPLES, 12), np.float32)]
        with h5py.File(folder / part, "w") as file:
            file["exam_id"] = np.array([exam_id for _, exam_id in exams] + [0])
            file["tracings"] = np.stack(padded)
    return folder
