"""A folder in the layout of ECG-ID 1.0.0: a folder a person, two channels of lead I, annotations."""

from pathlib import Path

RECORDS = {
    "Person_01/rec_1": ("25", "male", "07.12.2004"),
    "Person_01/rec_2": ("25", "male", "08.12.2004"),
    "Person_02/rec_1": ("58", "female", "07.12.2004"),
}


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "ecgiddb"
    for seed, (name, (age, sex, date)) in enumerate(RECORDS.items()):
        path = folder / name
        comments = [f" Age: {age}", f" Sex: {sex}", f" ECG date: {date}"]
        adu = ecg_adu(2, 10000, seed)
        write_wfdb(path.parent, path.name, adu, ["ECG I", "ECG I filtered"], gain=200, comments=comments)
        path.with_suffix(".atr").write_bytes(b"\x00\x00")
    (folder / "RECORDS").write_text("".join(f"{name}\n" for name in RECORDS))
    (folder / "ANNOTATORS").write_text("atr\tECG peaks\n")
    return folder
