"""A folder of the lead-I variability database as WFDB: a folder a person, the origin in a comment."""

from pathlib import Path

ORIGINS = {
    "subject_1/1_01": "owndb 1, Physical and emotional, Sitting",
    "subject_1/1_02": "owndb 1, Physical and emotional, Sitting",
    "subject_2/2_01": "ptbdb 19, Time and medical procedures, Supine",
    "subject_3/3_01": "",
}


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "variability"
    for seed, (name, origin) in enumerate(ORIGINS.items()):
        path = folder / name
        comments = [f" {origin}"] * bool(origin)
        write_wfdb(path.parent, path.name, ecg_adu(1, 1250, seed), ["I"], fs=125, gain=310, comments=comments)
    return folder
