"""MIMIC-IV-ECG, with its patients and the machine's reports -> record store.

    python preprocess/mimic_iv_ecg.py ROOT --dest STORE

ROOT is the folder of the release: record_list.csv, machine_measurements.csv, files/p1000/ and so on. Whatever
part of the 800 000 records was downloaded is stored. A record's id is its study_id. Memory does not grow with
their number: the list is streamed, and what belongs to a record looked up in a temporary database on disk.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from fairseq_signals.commands.absent_records import not_downloaded, sizes
from fairseq_signals.commands.arguments import some_path
from fairseq_signals.commands.preprocess_folder import corpus_script
from fairseq_signals.commands.store_arguments import warn
from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.csv_table import TableRow, read_rows

SOURCE = "mimic-iv-ecg"
RECORDS = "record_list.csv"
MEASUREMENTS = "machine_measurements.csv"
RECORD_COLUMNS = ("subject_id", "study_id", "ecg_time", "path")
PATIENT_COLUMNS = ("subject_id", "gender", "anchor_age", "anchor_year")
REPORT = re.compile(r"report_(\d+)")
SEX = {"F": "female", "M": "male"}


def list_records(root: Path, patients: Path | None = None) -> Iterator[Item]:
    """Every record of `record_list.csv`, one at a time, as it is read.

    Args:
        root: folder of the release.
        patients: `patients.csv` of MIMIC-IV, or None.

    Raises:
        StoreError: a table is missing or a row of it is not as in the release.
    """
    root = Path(os.path.abspath(root))
    n_unmeasured, first = 0, ""
    with closing(sqlite3.connect("")) as database:  # in a file without a name, which ends with the connection
        load_measurements(database, root / MEASUREMENTS)
        load_patients(database, patients)
        for row in read_rows(root / RECORDS, RECORD_COLUMNS):
            study = row.number("study_id")
            measured = find_measurement(database, study)
            if measured is None:
                n_unmeasured, first = n_unmeasured + 1, first or study
            yield _item(root, row, study, measured or {}, find_patient(database, row))
    if n_unmeasured:
        warn(f"{n_unmeasured:,} records are not in {MEASUREMENTS}; stored without a report (first: {first})")


def _item(root: Path, row: TableRow, study: str, measured: dict[str, Any], patient: dict[str, Any]) -> Item:
    file = row.value("path", _relative, "a path below the folder of the release")
    header = os.path.join(root, f"{file}.hea")
    digest = sizes(header, os.path.join(root, f"{file}.dat"))
    if digest.startswith("-"):
        return not_downloaded(SOURCE, study, root, f"{file}.hea", RECORDS)
    attributes = {"ecg_time": row.cells["ecg_time"], **measured.get("attributes", {})}
    return Item(
        SOURCE,
        study,
        header,
        digest,
        patient_id=row.number("subject_id"),
        codes=(),
        report=measured.get("report"),
        attributes=tuple(attributes.items()),
        **patient,
    )


def _relative(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError
    return text


# --- what belongs to the records, on disk ----------------------------------------------------------------


def load_measurements(database: sqlite3.Connection, path: Path) -> None:
    """Put report and attributes of every study of `machine_measurements.csv` into a table.

    Raises:
        StoreError: the file is missing, a row is not as in the release, or a study is there twice.
    """
    database.execute("PRAGMA journal_mode = OFF")  # what is lost with this process is not missed
    database.execute("CREATE TABLE measurements (study_id INTEGER PRIMARY KEY, report TEXT, attributes TEXT)")
    for row in read_rows(path, ("subject_id", "study_id", "report_0")):
        reports = sorted((int(match[1]), name) for name in row.cells if (match := REPORT.fullmatch(name)))
        lines = [row.cells[name] for _, name in reports]
        used = ("subject_id", "study_id", *(name for _, name in reports))
        attributes = json.dumps(dict(row.attributes(used) or ()))
        report = "; ".join(line for line in lines if line) or None
        try:
            values = (int(row.number("study_id")), report, attributes)
            database.execute("INSERT INTO measurements VALUES (?, ?, ?)", values)
        except sqlite3.IntegrityError:
            raise StoreError(f"{row.where}: study_id {values[0]} is listed already") from None
        except sqlite3.Error as e:
            raise StoreError(
                f"{path}: cannot be put into a temporary database ({e}). Make room in the folder for "
                f"temporary files, or name another one in the environment variable SQLITE_TMPDIR."
            ) from e


def find_measurement(database: sqlite3.Connection, study: str) -> dict[str, Any] | None:
    """`report` and `attributes` of a study, or None."""
    query = "SELECT report, attributes FROM measurements WHERE study_id = ?"
    found = database.execute(query, (int(study),)).fetchone()
    return None if found is None else {"report": found[0], "attributes": json.loads(found[1])}


def load_patients(database: sqlite3.Connection, path: Path | None) -> None:
    """Put sex and year of birth of every subject of `patients.csv` into a table, which is empty without it.

    Dates of MIMIC-IV are shifted by the same years for all that is known of a subject, so that the age at a
    recording is right; those above 89 are all published as 91.

    Raises:
        StoreError: the file is missing, or a row is not as in MIMIC-IV.
    """
    database.execute("CREATE TABLE patients (subject_id INTEGER PRIMARY KEY, sex TEXT, born INTEGER)")
    for row in () if path is None else read_rows(path, PATIENT_COLUMNS):
        born = int(row.number("anchor_year")) - int(row.number("anchor_age"))
        values = (int(row.number("subject_id")), row.choice("gender", SEX), born)
        database.execute("INSERT OR REPLACE INTO patients VALUES (?, ?, ?)", values)


def find_patient(database: sqlite3.Connection, row: TableRow) -> dict[str, Any]:
    """`sex` and `age` of the subject of a row of `record_list.csv`, as far as they are known."""
    query = "SELECT sex, born FROM patients WHERE subject_id = ?"
    found = database.execute(query, (int(row.number("subject_id")),)).fetchone()
    if found is None:
        return {}
    sex, born = found
    year = row.cells["ecg_time"][:4]
    return {"sex": sex, "age": float(max(0, int(year) - born)) if year.isdigit() else None}


main = corpus_script(
    "MIMIC-IV-ECG -> record store",
    f"folder of the release, with {RECORDS} and {MEASUREMENTS}",
    lambda args: list_records(args.root, args.patients),
    {
        "--patients": {
            "type": some_path,
            "metavar": "CSV",
            "help": "hosp/patients.csv.gz of MIMIC-IV, for age and sex, which MIMIC-IV-ECG does not tell",
        }
    },
    partial=True,
)

if __name__ == "__main__":
    sys.exit(main())
