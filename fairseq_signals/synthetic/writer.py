"""Writing a whole corpus to a folder: deterministic, restartable, never over another corpus."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fairseq_signals.errors import ConfigError
from fairseq_signals.files import remove_left_overs, write_text
from fairseq_signals.safety.text import csv_lines
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.patient import PlannedRecord, plan_records
from fairseq_signals.synthetic.record import make_record
from fairseq_signals.synthetic.reports import WORDING_OF, label_table, prompts, report_of, split_of
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


def write_planned(job: tuple[CorpusConfig, Path, PlannedRecord, str]) -> tuple[tuple[str, ...], str]:
    """Write one record unless it is there already; its classes, and its report."""
    config, dest, planned, wording = job
    record = make_record(config, planned.patient, planned.session)
    folder = dest / planned.subset.folder
    if not (folder / f"{planned.record_id}.hea").exists():  # written last: the record is whole
        write_record(record, planned.record_id, folder)
    return record.classes, report_of(record, config, wording)


def _run(jobs: Sequence[Any], workers: int) -> Iterator[tuple[tuple[str, ...], str]]:
    if workers <= 1:
        yield from map(write_planned, jobs)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(write_planned, jobs, chunksize=32)


def write_corpus(
    config: CorpusConfig, dest: Path, workers: int = 1, wording: str | None = None
) -> Counter[str]:
    """Write the corpus; how many records show each class, and under "records" how many there are.

    Args:
        dest: gets WFDB_*/ folders, patients.csv, reports.csv, classes.csv, prompts.csv, corpus.json and
            README.md. What a stopped run of the same configuration left there is kept.
        workers: processes; they do not change a byte.
        wording: of all reports; by default the one that training does not see is of test patients alone.

    Raises:
        ConfigError: `dest` holds a corpus of another configuration.
    """
    claim(dest, config)
    plan = plan_records(config)
    splits = [split_of(config, planned.patient) for planned in plan]
    jobs = [(config, dest, planned, wording or WORDING_OF[s]) for planned, s in zip(plan, splits)]
    for folder in {dest / planned.subset.folder for planned in plan}:
        if folder.is_dir():
            remove_left_overs(folder)
    counts: Counter[str] = Counter(records=len(plan))
    reports = []
    for classes, report in tqdm(
        _run(jobs, workers), total=len(jobs), desc="synthetic ECG", unit="record", mininterval=0.5
    ):
        counts.update(classes)
        reports.append(report)
    rows = [(p.record_id, p.patient_id, p.session) for p in plan]
    told = [(*row[:2], split, report) for row, split, report in zip(rows, splits, reports)]
    for name, columns, table in (
        ("patients.csv", ("record_id", "patient_id", "session"), rows),
        ("reports.csv", ("record_id", "patient_id", "split", "report"), told),
        ("classes.csv", ("index", "name", "abbreviation", "codes"), label_table()),
        ("prompts.csv", ("class", "prompt"), prompts()),
    ):
        write_text(dest / name, csv_lines([columns, *table]))
    return counts
