"""Record stores of all recordings at 100 Hz, and the manifests of the three tasks and of pre-training."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from jobs import Job

from fairseq_signals.files import write_text

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).resolve().parent / "config"
FS = "100"  # Hz
#: Options whose value is a table that `write_tables` makes.
TABLE, PATIENTS = "--metadata", "--patients"
#: Store: (folder of recordings, script, its options).
STORES: dict[str, tuple[str, str, list[str]]] = {
    "ptb-xl": ("real_ecg/ptb_xl", "wfdb_folder.py", [TABLE, "--only-listed"]),
    "cinc2021": ("real_ecg/cinc2021", "physionet2021.py", [PATIENTS]),
    "georgia": ("real_ecg/cinc2021_legacy_headers", "wfdb_folder.py", []),
    "georgia_more": ("more_ecg/cinc2021_legacy_headers", "wfdb_folder.py", []),
    "georgia_250hz": ("more_ecg/georgia_250hz", "wfdb_folder.py", []),
    "ludb": ("real_ecg/ludb/data", "wfdb_folder.py", []),
    "code15": ("real_ecg/code15_samitrop", "wfdb_folder.py", [TABLE]),
    "code15_more": ("more_ecg/code15_samitrop", "wfdb_folder.py", []),
    "ecg-id": ("real_ecg/ecgid", "wfdb_folder.py", ["--patient-from-folder"]),
    "ecg-id_more": ("more_ecg/ecgid", "wfdb_folder.py", ["--patient-from-folder"]),
    "brugada": ("real_ecg/brugada_huca", "wfdb_folder.py", []),
    "sph": ("real_ecg/sph_h5", "sph.py", []),
    "cinc2011": ("more_ecg/cinc2011/set-a", "wfdb_folder.py", [TABLE, "--only-listed"]),
    "cinc2017": ("more_ecg/cinc2017", "wfdb_folder.py", [TABLE, "--lead-names", "ECG=I"]),
    "ptbdb": ("more_ecg/ptbdb_10s", "wfdb_folder.py", ["--patient-from-folder"]),
    "lead1_variability": ("more_ecg/lead1_variability", "lead1_variability.py", []),
    "lead1_variability_ends": ("more_ecg/lead1_variability", "wfdb_folder.py", [TABLE, "--only-listed"]),
    "zzu_pecg": ("more_ecg/zzu_pecg", "wfdb_folder.py", []),
    "cpsc2021": ("more_ecg/cpsc2021", "cpsc2021.py", []),
    "cpsc2018": ("more_ecg/cpsc2018", "wfdb_folder.py", []),
}
#: Tasks: their manifests, and of which stores. Who is valid or test in one of them is in no pre-training.
DX, AF, IDENTITY, IDENTITY_PTBXL = "dx", "af", "id", "id_ptbxl"
FIRST_AND_LAST = "lead1_variability_ends"  # store of two of a person's ten recordings
ENDS = ("_01", "_10")
WHOLE = ["--segments-per-recording", "2"]
MANIFESTS = {
    DX: (
        "classification.py",
        "ptb-xl",
        ["--labels", "ptbxl_superclass", "--drop-unlabelled", "--split-table"],
    ),
    AF: ("classification.py", "cinc2017", ["--labels", str(CONFIG / "af.csv"), "--split", "6:2:2"]),
    IDENTITY: (
        "identification.py",
        FIRST_AND_LAST,
        ["--valid-fraction", "0.2", "--test-fraction", "0.3", *WHOLE],
    ),
    IDENTITY_PTBXL: (
        "identification.py",
        "ptb-xl",
        ["--valid-fraction", "0.3", "--test-fraction", "0.6", *WHOLE],
    ),
}
#: Pre-training on recordings of three leads or more, or on all: of one lead, random lead masking often leaves
#: nothing.
PRETRAIN = {"pretrain": "n_faults == 0 and n_leads >= 3", "pretrain_all": "n_faults == 0"}


def data_jobs(shared: Path, out: Path) -> list[Job]:
    """The steps that make the stores and manifests."""
    write_tables(shared, out / "tables")
    jobs = [_store(name, shared, out) for name in STORES]
    for name, (script, store, options) in MANIFESTS.items():
        command = _python(f"manifests/{script}", out / "stores" / store, "--dest", out / "manifests" / name)
        if options[-1] == "--split-table":
            options = [*options, str(shared / "real_ecg/ptb_xl/ptbxl_labels.csv")]
        jobs.append(Job(f"manifests-{name}", [*command, *options], [f"store-{store}"]))
    stores = [out / "stores" / name for name in STORES if name != FIRST_AND_LAST]
    tasks = [out / "manifests" / name for name in MANIFESTS]
    needs = [job.name for job in jobs]
    for name, where in PRETRAIN.items():
        command = _python(
            "manifests/pretrain.py", *stores, "--dest", out / "manifests" / name, "--exclude", *tasks
        )
        jobs.append(Job(f"manifests-{name}", [*command, "--valid-fraction", "0", "--where", where], needs))
    folders = [*tasks, *(out / "manifests" / name for name in PRETRAIN)]
    needs = [job.name for job in jobs]
    jobs.append(Job("manifests-check", _python("manifests/check.py", *folders), needs))
    return jobs


def _store(name: str, shared: Path, out: Path) -> Job:
    folder, script, options = STORES[name]
    for option in {TABLE, PATIENTS}.intersection(options):
        place = options.index(option) + 1
        options = [*options[:place], str(out / "tables" / f"{name}.csv"), *options[place:]]
    source = (
        ["--source", name.removesuffix("_more").removesuffix("_ends")] if script == "wfdb_folder.py" else []
    )
    dest = out / "stores" / name
    command = _python(f"preprocess/{script}", shared / folder, "--dest", dest, "--fs", FS, "--workers", "1")
    return Job(f"store-{name}", [*command, *source, *options])


def _python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / script), *map(str, arguments)]


def write_tables(shared: Path, folder: Path) -> None:
    """What the tables of the collection know of records beside their headers: record, patient, codes."""
    for name, (where, _, options) in STORES.items():
        path = folder / f"{name}.csv"
        if path.exists() or not {TABLE, PATIENTS}.intersection(options):
            continue
        rows = _ptb_xl(shared / where) if name == "ptb-xl" else _listed(shared, Path(where))
        if name == FIRST_AND_LAST:
            rows = (row for row in rows if row[0].endswith(ENDS))
        lines = (",".join(row) + "\n" for row in rows)
        write_text(path, ["record_id,patient_id,codes\n", *lines])


def _ptb_xl(folder: Path) -> Iterator[tuple[str, str, str]]:
    """The records at 100 Hz with their superclasses."""
    records = {int(path.stem.split("_")[0]): path for path in folder.glob("records100/**/*_lr.hea")}
    for row in _rows(folder / "ptbxl_labels.csv"):
        path = records.get(int(row["ecg_id"]))
        if path is not None:
            name = path.relative_to(folder).with_suffix("").as_posix()
            yield name, row["patient_id"], "|".join(re.findall("[A-Z]+", row["super_class"]))


def _listed(shared: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """The records of a folder by the collection's list, with their rhythm if it tells one."""
    for row in _rows(shared / folder.parts[0] / "MANIFEST.csv"):
        path = Path(folder.parts[0], row["path"])
        if folder in path.parents and row["labels"] != "quality=unacceptable":
            rhythm = re.match(r"rhythm=(\w+)$", row["labels"])
            record = path.name if folder.name == "cinc2021" else path.relative_to(folder).as_posix()
            yield record, row["patient"], rhythm[1] if rhythm else ""


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file)
