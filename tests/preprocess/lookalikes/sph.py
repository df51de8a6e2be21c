"""A folder in the layout of the SPH database: metadata.csv and compressed float16 records."""

from pathlib import Path

import numpy as np

ROWS = [
    "A00001,22;23,S00001,55,M,5000,2020-03-04",
    "A00002,60+310;22,S00002,32,F,6000,2019-09-03",
    "A00003,1,S00002,33,F,5000,2020-07-16",
]


def signal(n_samples: int, seed: int) -> np.ndarray:
    """Millivolt (12, n_samples), float16."""
    steps = np.random.default_rng(seed).normal(0, 0.02, (12, n_samples))
    return np.cumsum(steps, axis=1).astype(np.float16)


def make(root: Path, *_) -> Path:
    """Write the corpus below `root` and return its folder."""
    import h5py

    folder = root / "sph"
    (folder / "records").mkdir(parents=True)
    lines = ["ECG_ID,AHA_Code,Patient_ID,Age,Sex,N,Date", *ROWS]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    (folder / "code.csv").write_text("Category,Code,Description\nA,1,Normal ECG\nC,22,Sinus bradycardia\n")
    for seed, row in enumerate(ROWS):
        cells = row.split(",")
        with h5py.File(folder / "records" / f"{cells[0]}.h5", "w") as file:
            file.create_dataset("ecg", data=signal(int(cells[5]), seed), compression="gzip")
    return folder
