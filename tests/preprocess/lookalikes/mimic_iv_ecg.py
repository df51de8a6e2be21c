"""A folder in the layout of MIMIC-IV-ECG 1.0: tables in different orders, aVF before aVL."""

import gzip
from pathlib import Path

from tests.preprocess.lookalikes.tables import write_table

LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
RECORD_COLUMNS = ["subject_id", "study_id", "file_name", "ecg_time", "path"]
MEASUREMENT_COLUMNS = [
    "subject_id", "study_id", "cart_id", "ecg_time", *(f"report_{i}" for i in range(18)), "bandwidth",
    "filtering", "rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end", "p_axis", "qrs_axis",
    "t_axis",
]  # fmt: skip
#: subject, study, time, report lines with the gaps that the machine leaves.
STUDIES = [
    ("10000032", "40689238", "2180-07-23 08:44:00", ["Sinus rhythm", "Possible right atrial abnormality", "",
                                                     "Borderline ECG"]),
    ("10000032", "44458630", "2180-07-23 09:54:00", ["Sinus rhythm", "", "Normal ECG"]),
    ("10000117", "45090959", "2181-03-04 17:14:00", []),
    ("10000635", "43522917", "2137-02-07 13:58:00", ["Sinus bradycardia", "Left ventricular hypertrophy"]),
]  # fmt: skip
PATIENTS = """subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod
10000032,F,52,2180,2014 - 2016,2180-09-09
10000635,M,74,2136,2008 - 2010,
"""


def path_of(subject: str, study: str) -> str:
    return f"files/p{subject[:4]}/p{subject}/s{study}/{study}"


def record_row(subject: str, study: str, time: str, reports: list[str]) -> dict[str, str]:
    return {
        "subject_id": subject, "study_id": study, "file_name": study, "ecg_time": time,
        "path": path_of(subject, study),
    }  # fmt: skip


def measurement_row(subject: str, study: str, time: str, reports: list[str]) -> dict[str, str]:
    return {
        "subject_id": subject, "study_id": study, "cart_id": "6848296", "ecg_time": time,
        **{f"report_{i}": line for i, line in enumerate(reports)}, "bandwidth": "0.005-150 Hz",
        "filtering": "60 Hz notch Baseline filter", "rr_interval": "659", "t_axis": "79",
    }  # fmt: skip


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "mimic-iv-ecg-1.0"
    for subject, study, time, _ in STUDIES:
        path = folder / path_of(subject, study)
        date, clock = time.split()
        line = f"{study} 12 500 5000 {clock} {'/'.join(reversed(date.split('-')))}"
        adu = ecg_adu(n_samples=5000, seed=int(study))
        comments = [f" <subject_id>: {subject}"]
        write_wfdb(path.parent, study, adu, LEADS, gain="200.0", record_line=line, comments=comments)
    write_table(folder / "record_list.csv", RECORD_COLUMNS, [record_row(*study) for study in STUDIES])
    rows = [measurement_row(*study) for study in reversed(STUDIES)]
    write_table(folder / "machine_measurements.csv", MEASUREMENT_COLUMNS, rows)
    (folder / "RECORDS").write_text("".join(f"{path_of(study[0], study[1])}\n" for study in STUDIES))
    with gzip.open(root / "patients.csv.gz", "wt") as file:
        file.write(PATIENTS)
    return folder


def make_tables(folder: Path, n_studies: int) -> Path:
    """Write tables that list this many records, none of which is there."""
    folder.mkdir(parents=True)
    studies = [
        (str(10_000_000 + i // 3), str(40_000_000 + i), "2150-01-01 00:00:00", ["Sinus rhythm", f"Line {i}"])
        for i in range(n_studies)
    ]
    write_table(folder / "record_list.csv", RECORD_COLUMNS, [record_row(*study) for study in studies])
    rows = [measurement_row(*study) for study in studies]
    write_table(folder / "machine_measurements.csv", MEASUREMENT_COLUMNS, rows)
    return folder
