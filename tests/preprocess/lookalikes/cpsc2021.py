"""A folder in the layout of CPSC 2021: two leads, a diagnosis in the header, rhythms in annotations."""

from pathlib import Path

RECORDS = {
    "data_0_1": ("non atrial fibrillation", []),
    "data_0_2": ("non atrial fibrillation", []),
    "data_7_1": ("paroxysmal atrial fibrillation", [(200, "(AFIB"), (900, "(N"), (1000, "(AFL")]),
}


def annotations(changes) -> bytes:
    """An annotation file in MIT format with a beat before each change of rhythm."""
    data, last = b"", 0
    for sample, rhythm in changes:
        text = rhythm.encode() + b"\0" * (len(rhythm) % 2)
        data += (1 << 10 | 10).to_bytes(2, "little")
        gap = sample - last - 10
        if gap > 1000:
            data += (59 << 10).to_bytes(2, "little") + bytes([0, 0]) + gap.to_bytes(2, "little")
            gap = 0
        data += (28 << 10 | gap).to_bytes(2, "little") + (63 << 10 | len(rhythm)).to_bytes(2, "little") + text
        last = sample
    return data + b"\0\0"


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "cpsc2021"
    for seed, (name, (diagnosis, changes)) in enumerate(RECORDS.items()):
        adu = ecg_adu(2, 2000, seed)
        write_wfdb(folder / "Training_set_I", name, adu, ["I", "II"], fs=200, comments=[f" {diagnosis}"])
        (folder / "Training_set_I" / f"{name}.atr").write_bytes(annotations(changes))
    return folder
