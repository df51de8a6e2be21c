"""Manifests: of each task, of parts of its training patients, and of pre-training.

Whoever is validated or tested in any task is in no pre-training.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.benchmark.corpora import folds, run, usable
from fairseq_signals.benchmark.entries import Task
from fairseq_signals.benchmark.features import rate_of
from fairseq_signals.benchmark.fractions import fraction_of_patients
from fairseq_signals.benchmark.settings import PRETRAIN, Settings
from fairseq_signals.errors import LeadError
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.files import whole_folder, write_text
from fairseq_signals.installed import find_scripts
from fairseq_signals.manifest.table import format_manifest, read_manifest

LABELS = Path(__file__).resolve().parent / "labels"


def commands(settings: Settings) -> Iterator[list[str]]:
    """The commands that make the manifests of tasks and of pre-training, and prove them apart."""
    there, _ = usable(settings)
    out = Path(settings.out)
    for task in settings.tasks.values():
        of_task = [out / "stores" / store.name for store in there if store.corpus in task.corpora]
        options = folds(settings, task.corpora[0]) if task.published_folds else []
        yield _script(
            task.kind,
            *of_task,
            "--dest",
            settings.manifests(task.name),
            *_labels(task),
            *options,
            *task.options,
        )
    folders = [settings.manifests(name) for name in settings.tasks]
    everything = [out / "stores" / store.name for store in there]
    options = ["--where", settings.pretrain.where, "--valid-fraction", "0"]
    dest = settings.manifests(PRETRAIN)
    yield _script(PRETRAIN, *everything, "--dest", dest, "--exclude", *folders, *options)
    yield _script("check", *folders, dest)


def _script(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(find_scripts("manifest")[name]), *map(str, arguments)]


def _labels(task: Task) -> list[str]:
    """The label table of a classification: one of this room, or as the manifest script knows it."""
    ours = LABELS / f"{task.labels}.csv"
    return ["--labels", str(ours) if ours.is_file() else task.labels] if task.labels else []


def write_fraction(settings: Settings, task: Task, seed: int, fraction: int) -> None:
    """The manifests of a task with a part of its training patients, the other splits being the same."""
    whole = settings.manifests(task.name)
    manifest = read_manifest(whole / "train.tsv")
    rows = list(manifest.rows())
    kept = fraction_of_patients([row.patient_id for row in rows], fraction, seed)
    dest = settings.manifests(task.name, seed, fraction)
    shutil.rmtree(dest, ignore_errors=True)
    with whole_folder(dest) as partial:
        shutil.copytree(whole, partial, dirs_exist_ok=True)
        pieces = format_manifest(manifest.root, (row for row, keep in zip(rows, kept) if keep))
        write_text(partial / "train.tsv", pieces)


def make_manifests(settings: Settings) -> None:
    """Make those of the tasks and of pre-training.

    Raises:
        LeadError: a record has no lead of one of its task's lead sets, so that some encoders cannot tell it.
    """
    for command in commands(settings):
        run(command)
    for task in settings.tasks.values():
        for path in sorted(settings.manifests(task.name).glob("*.tsv")):
            _require_leads(task, path)


def _require_leads(task: Task, path: Path) -> None:
    manifest = read_manifest(path)
    if not len(manifest):
        return
    present = SegmentReader(manifest, rate_of(manifest)).present(np.arange(len(manifest)))  # (N, 12)
    for name, leads in parse_lead_sets([",".join(task.lead_sets)]).items():
        lacks = ~present[:, list(leads)].any(axis=1)
        if lacks.any():
            raise LeadError(
                f"{path}: {lacks.sum():,} of {len(manifest):,} segments have none of the leads of the lead "
                f"set {name}, the first of record {manifest.record_ids[lacks.argmax()]}: give the task "
                f"{task.name} other lead_sets, or leave them out by a --where among its options"
            )
