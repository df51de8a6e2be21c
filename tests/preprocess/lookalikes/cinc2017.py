"""A folder in the layout of CinC 2017: one signal called ECG, labels beside the folder of the records."""

from pathlib import Path

LABELS = {"A00001": "N", "A00002": "A", "A00003": "O", "A00004": "~"}


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return the folder of its records."""
    folder = root / "training"
    for seed, name in enumerate(LABELS):
        write_wfdb(folder / "A00", name, ecg_adu(1, 2700, seed), ["ECG"], fs=300, suffix=".mat")
    lines = "".join(f"{name},{label}\n" for name, label in LABELS.items())
    (root / "REFERENCE-v3.csv").write_text(lines)
    (root / "REFERENCE.csv").write_text(lines.replace("A00004,~", "A00004,N"))
    return folder
