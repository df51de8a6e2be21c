"""A folder in the layout of ecg-arrhythmia 1.0.0, with one of the two headers that it has broken."""

from pathlib import Path

RECORDS = {
    "01/010/JS00001": ("85", "Male", "164889003,59118001,164934002"),
    "01/010/JS00002": ("59", "Female", "426177001"),
    "01/019/JS01052": ("45", "Male", "426177001"),
    "13/133/JS13888": ("NaN", "Unknown", "426783006,999"),
}
CONDITIONS = """\ufeffAcronym Name,Full Name,Snomed_CT
AFIB,Atrial Fibrillation,164889003
RBBB,right bundle branch block,59118001
SB,Sinus Bradycardia,426177001
SR,Sinus Rhythm,426783006
"""


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "ecg-arrhythmia-1.0.0"
    for seed, (name, (age, sex, codes)) in enumerate(RECORDS.items()):
        path = folder / "WFDBRecords" / name
        comments = [f"Age: {age}", f"Sex: {sex}", f"Dx: {codes}", "Rx: Unknown", "Hx: Unknown", "Sx: Unknown"]
        adu = ecg_adu(n_samples=5000, seed=seed)
        header = write_wfdb(path.parent, path.name, adu, suffix=".mat", comments=comments)
        if path.name == "JS01052":  # a line break is lost, with what stood around it
            lines = header.read_text().splitlines()
            merged = f"{lines[0]}00/mV {' '.join(lines[1].split()[3:])}"
            header.write_text("\n".join([merged, *lines[2:]]) + "\n")
    (folder / "ConditionNames_SNOMED-CT.csv").write_text(CONDITIONS, encoding="utf-8")
    folders = sorted({name.rpartition("/")[0] for name in RECORDS})
    (folder / "RECORDS").write_text("".join(f"WFDBRecords/{name}/\n" for name in folders))
    return folder
