"""A folder in the layout of LUDB 1.0.1: ludb.csv, whose cells may have several lines, and data/."""

from pathlib import Path

from tests.preprocess.lookalikes.tables import write_table

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
COLUMNS = [
    "ID", "Sex", "Age", "Rhythms", "Electric axis of the heart", "Conduction abnormalities",
    "Extrasystolies", "Hypertrophies", "Cardiac pacing", "Ischemia",
    "Non-specific repolarization abnormalities", "Other states",
]  # fmt: skip
ROWS = [
    {
        "ID": "1", "Sex": "F", "Age": "51", "Rhythms": "Sinus bradycardia",
        "Electric axis of the heart": "Electric axis of the heart: left axis deviation",
        "Hypertrophies": "Left ventricular overload\nLeft ventricular hypertrophy",
    },
    {
        "ID": "2", "Sex": "M", "Age": "64", "Rhythms": "Atrial flutter, typical",
        "Cardiac pacing": "P-synchrony",
    },
    {"ID": "3", "Sex": "M", "Age": ">89", "Rhythms": "Sinus rhythm"},
]  # fmt: skip


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "ludb"
    for row in ROWS:
        number = row["ID"]
        person = [f"<age>: {row['Age']}", f"<sex>: {row['Sex']}"]
        comments = [*person, "<diagnoses>:", f"Rhythm: {row['Rhythms']}."]
        gain = [1716 + 10 * i for i in range(12)]
        baseline = [6 - i for i in range(12)]
        adu = ecg_adu(n_samples=5000, seed=int(number))
        write_wfdb(folder / "data", number, adu, LEADS, gain=gain, baseline=baseline, comments=comments)
        for lead in LEADS:
            (folder / "data" / f"{number}.{lead}").write_bytes(b"\x00\x00")
    write_table(folder / "ludb.csv", COLUMNS, ROWS)
    (folder / "RECORDS").write_text("".join(f"data/{row['ID']}\n" for row in ROWS))
    return folder
