"""The manifests of a benchmark: nobody tested is trained on, and parts of the labels are nested."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.benchmark.entries import Corpus, Task
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.benchmark.tasks import commands, make_manifests, write_fraction
from fairseq_signals.errors import LeadError
from fairseq_signals.manifest.table import read_manifest

AF = Task("af", "classification", ("mine",), labels="af", options=("--split", "6:2:2"))


@pytest.fixture
def settings(tmp_path) -> Settings:
    (tmp_path / "raw").mkdir()
    corpus = Corpus(path=str(tmp_path / "raw"), script="wfdb_folder")
    return replace(Settings({}, {"af": AF}, {"mine": corpus}), out=str(tmp_path))


def test_pretraining_excludes_whom_any_task_holds_out_and_all_is_checked(settings):
    tasks = {"af": AF, "age": Task("age", "regression", ("mine",))}
    *of_tasks, pretrain, check = commands(replace(settings, tasks=tasks))
    assert len(of_tasks) == 2
    excluded = pretrain[pretrain.index("--exclude") + 1 : pretrain.index("--where")]
    assert excluded == [str(settings.manifests(name)) for name in tasks]
    assert check[2:] == [*excluded, str(settings.manifests("pretrain"))]
    labels = of_tasks[0][of_tasks[0].index("--labels") + 1]
    assert labels.endswith("benchmark/labels/af.csv")


def test_parts_of_the_labels_are_nested_and_leave_the_other_splits_alone(settings, corpus):
    shutil.copytree(corpus.classification, settings.manifests("af"))
    patients = {100: set(read_manifest(settings.manifests("af") / "train.tsv").patient_ids)}
    for fraction in (10, 50):
        write_fraction(settings, AF, 1, fraction)
        folder = settings.manifests("af", 1, fraction)
        train = read_manifest(folder / "train.tsv")
        patients[fraction] = set(train.patient_ids)
        assert (folder / "test.tsv").read_bytes() == (settings.manifests("af") / "test.tsv").read_bytes()
    assert patients[10] < patients[50] < patients[100]
    assert len(patients[50]) == round(len(patients[100]) / 2)


def test_another_seed_takes_other_patients(settings, corpus):
    shutil.copytree(corpus.classification, settings.manifests("af"))
    for seed in (1, 2):
        write_fraction(settings, AF, seed, 50)
    one, other = (
        read_manifest(settings.manifests("af", seed, 50) / "train.tsv").patient_ids for seed in (1, 2)
    )
    assert set(one) != set(other)


def test_record_without_a_lead_of_a_lead_set_is_told_before_any_training(settings, corpus, monkeypatch):
    shutil.copytree(corpus.classification, settings.manifests("af"))
    monkeypatch.setattr("fairseq_signals.benchmark.tasks.run", lambda command: None)
    make_manifests(settings)
    n = len(read_manifest(settings.manifests("af") / "test.tsv"))
    without = np.ones((n, 12), bool)
    without[2, 0] = False
    monkeypatch.setattr(SegmentReader, "present", lambda reader, indices: without)
    make_manifests(replace(settings, tasks={"af": replace(AF, lead_sets=("12",))}))
    record = read_manifest(settings.manifests("af") / "test.tsv").record_ids[2]
    with pytest.raises(LeadError, match=f"test.tsv: 1 of {n} segments .* 1, the first of record {record}"):
        make_manifests(settings)
