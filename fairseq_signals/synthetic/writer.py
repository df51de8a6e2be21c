"""Writing a whole corpus to a folder: deterministic, restartable, never over another corpus."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from fairseq_signals.errors import ConfigError
from fairseq_signals.files import remove_left_overs, write_text
from fairseq_signals.safety.text import csv_lines
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.patient import PlannedRecord, plan_records
from fairseq_signals.synthetic.record import make_record
from fairseq_signals.synthetic.wfdb_files import NOTICE, write_record

VERSION = 1  # of the model: raise it when the same arguments no longer give the same bytes

README = f"""# Synthetic 12-lead ECG

Every record in this folder is synthetic: {NOTICE}.
It was written by `examples/quickstart/make_corpus.py` of fairseq_signals with the arguments in `corpus.json`.
Do not draw medical conclusions from it and do not mix it with recordings of patients.
"""


def describe(config: CorpusConfig) -> str:
    """The arguments that determine the corpus, as JSON."""
    return json.dumps({"synthetic": True, "version": VERSION, **asdict(config)}, indent=2) + "\n"


def claim(dest: Path, config: CorpusConfig) -> None:
    """Make the folder ours, or raise if it holds a corpus of other arguments."""
    marker = dest / "corpus.json"
    if marker.exists() and marker.read_text() != describe(config):
        raise ConfigError(
            f"{dest}: the folder holds a corpus of other arguments: see {marker.name}. "
            f"Choose another --dest or delete it."
        )
    for path, text in ((marker, describe(config)), (dest / "README.md", README)):
        write_text(path, [text])


def write_planned(job: tuple[CorpusConfig, Path, PlannedRecord]) -> tuple[str, ...]:
    """Write one record unless it is there already; its classes."""
    config, dest, planned = job
    record = make_record(config, planned.patient, planned.session)
    folder = dest / planned.subset.folder
    if not (folder / f"{planned.record_id}.hea").exists():  # written last: the record is whole
        write_record(record, planned.record_id, folder)
    return record.classes


def _run(jobs: list[tuple[CorpusConfig, Path, PlannedRecord]], workers: int) -> Iterator[tuple[str, ...]]:
    if workers <= 1:
        yield from map(write_planned, jobs)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(write_planned, jobs, chunksize=32)


def write_corpus(config: CorpusConfig, dest: Path, workers: int = 1) -> Counter[str]:
    """Write the corpus; how many records show each class, and under "records" how many there are.

    Args:
        dest: gets WFDB_*/ folders, patients.csv, corpus.json and README.md. What a stopped run of the same
            configuration left there is kept.
        workers: processes; they do not change a byte.

    Raises:
        ConfigError: `dest` holds a corpus of another configuration.
    """
    claim(dest, config)
    plan = plan_records(config)
    jobs = [(config, dest, planned) for planned in plan]
    for folder in {dest / planned.subset.folder for planned in plan}:
        if folder.is_dir():
            remove_left_overs(folder)
    counts: Counter[str] = Counter(records=len(plan))
    for classes in tqdm(
        _run(jobs, workers), total=len(jobs), desc="synthetic ECG", unit="record", mininterval=0.5
    ):
        counts.update(classes)
    rows = ((p.record_id, p.patient_id, p.session) for p in plan)
    write_text(dest / "patients.csv", csv_lines(chain([("record_id", "patient_id", "session")], rows)))
    return counts
