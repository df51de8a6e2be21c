"""Frozen evaluation from an encoder and manifests to results files, with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from fairseq_signals.benchmark import heads
from fairseq_signals.benchmark.encoders import ModelEncoder, ObjectEncoder
from fairseq_signals.benchmark.features import Features, joined
from fairseq_signals.benchmark.frozen import main, write_frozen
from fairseq_signals.benchmark.protocols import FrozenTask, evaluate_frozen
from fairseq_signals.ecg.leads import LEAD_SETS
from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError
from fairseq_signals.evaluation.comparison import compare
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import predict
from fairseq_signals.evaluation.saved_results import read_evaluation
from fairseq_signals.manifest.labels import multi_hot, read_labels
from fairseq_signals.manifest.table import Row, read_manifest
from fairseq_signals.metrics.classification import auroc_per_class

SETS = parse_lead_sets(["12,2,1"])
TWO = parse_lead_sets(["12,1"])


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(heads, "PATIENCE_UPDATES", 5)
    monkeypatch.setattr(heads, "MAX_UPDATES", 10)


def evaluated(encoder, folder, split="test", **options):
    task = FrozenTask("task", folder, **{"lead_sets": TWO, **options})
    return dict(evaluate_frozen(Features(encoder, 16), task, split, 1))


def classes_of(folder):
    n_classes = len(read_labels(folder / "labels.csv"))
    return lambda row: np.isin(np.arange(n_classes), [int(c) for c in row.target.split(",") if c])


def test_an_encoder_that_knows_the_classes_is_perfect_and_one_that_knows_nothing_is_at_chance(corpus, oracle):
    knows = oracle(corpus.classification, classes_of(corpus.classification))
    found = evaluated(ObjectEncoder(knows, "knows"), corpus.classification)
    assert list(found) == ["linear-100", "once-100", "knn-100"]  # it gives no frames
    trained = multi_hot(read_manifest(corpus.classification / "train.tsv"), 26, "the test").any(axis=0)
    for name in ("linear-100", "once-100"):
        for probabilities in found[name].arrays["probabilities"]:
            areas = auroc_per_class(found[name].arrays["labels"], probabilities)[trained]
            assert np.nanmin(areas) == 1.0
    assert found["knn-100"].values["12"]["macro_auroc"] > 0.8
    blind = oracle(corpus.classification, lambda row: np.zeros(3))
    for outcome in evaluated(ObjectEncoder(blind, "blind"), corpus.classification).values():
        assert outcome.values["12"]["macro_auroc"] == 0.5


def test_an_encoder_that_knows_the_age_predicts_it(corpus, oracle):
    knows = oracle(corpus.regression, lambda row: np.array([float(row.target), 1.0]))
    found = evaluated(ObjectEncoder(knows, "knows"), corpus.regression)
    assert list(found) == ["linear-100", "once-100", "knn-100"]
    assert found["linear-100"].values["1"]["r2"] > 0.97
    assert found["linear-100"].values["1"]["mae"] < found["knn-100"].values["1"]["mae"] + 2


def test_an_encoder_that_knows_the_person_identifies_by_features_of_any_scale(corpus, oracle):
    def who(row: Row) -> np.ndarray:
        person = np.random.default_rng(abs(hash(row.patient_id))).normal(size=8)
        return person * [1e4, *[1.0] * 7] + 1e5  # but for standardising, the first would be all

    found = evaluated(ObjectEncoder(oracle(corpus.identification, who), "knows"), corpus.identification)
    assert list(found) == ["cosine-100"]
    assert found["cosine-100"].values["12"]["accuracy"] == 1.0
    assert found["cosine-100"].arrays["correct"].all()


def test_an_object_is_given_the_leads_that_there_are_once_for_all_tasks(corpus, oracle):
    tasks = {"one": corpus.classification, "other": corpus.regression}
    knows = oracle(
        corpus.classification, lambda row: np.random.default_rng(len(row.record_id)).normal(size=3)
    )
    features = Features(ObjectEncoder(knows, "knows"), 7)
    records = set()
    for name, folder in tasks.items():
        task = FrozenTask(name, folder, SETS, ["linear"])
        list(evaluate_frozen(features, task, "test", 1))
        records |= {
            id_
            for part in ("train", "valid", "test")
            for id_ in read_manifest(folder / f"{part}.tsv").record_ids
        }
    assert len(knows.given) == 3 * len(records)
    shapes = {(leads, x.shape, fs) for x, fs, leads in knows.given}
    assert {leads for leads, _, _ in shapes} == {LEAD_SETS[name] for name in SETS}
    assert all(shape == (len(leads), 5000) and fs == 500 for leads, shape, fs in shapes)


def test_one_probe_for_all_lead_sets_is_that_of_the_first(corpus, model):
    found = evaluated(ModelEncoder(model), corpus.classification, protocols=["linear", "once"])
    linear, once = (found[name].arrays["probabilities"] for name in ("linear-100", "once-100"))
    np.testing.assert_array_equal(linear[0], once[0])
    assert (linear[1] != once[1]).any()


def test_fewer_labels_are_those_of_fewer_patients(corpus, model):
    found = evaluated(ModelEncoder(model), corpus.classification, protocols=["knn"], fractions=(20, 100))
    train = read_manifest(corpus.classification / "train.tsv").counts()
    assert found["knn-100"].arrays["n_train"] == train["records"]
    assert 1 <= found["knn-20"].arrays["n_train"] < 0.4 * train["records"]


def test_features_are_what_evaluate_gets_of_the_same_segments(corpus, model):
    manifest = read_manifest(corpus.classification / "valid.tsv")
    found = Features(ModelEncoder(model), 5).of_records(manifest, TWO)
    segments = predict(model.network.pooled, manifest, TWO, 9, form=model.form)
    first = [i for i, record in enumerate(manifest.record_ids) if record == manifest.record_ids[0]]
    np.testing.assert_allclose(found[:, 0], segments[:, first].mean(axis=1), atol=1e-6)


def test_results_can_be_compared_and_say_what_was_found(corpus, model, tmp_path, capsys):
    tasks = [
        FrozenTask("superclass", corpus.classification, TWO, ["linear", "attentive"]),
        FrozenTask("age", corpus.regression, TWO, ["linear"]),
        FrozenTask("person", corpus.identification, TWO),
    ]
    for method, wanted in (("a", ()), ("b", ("mean:0", "std:-1"))):
        write_frozen(ModelEncoder(model, wanted), tasks, tmp_path / method, method, 1, "valid")
    shown = capsys.readouterr().out
    names = ["age-linear-100", "person-cosine-100", "superclass-attentive-100", "superclass-linear-100"]
    assert sorted(path.stem for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        one, other = (read_evaluation(tmp_path / method / f"{name}.npz") for method in "ab")
        assert (one.method, other.method) == ("a", "b")
        assert one.arrays["parameters"] == sum(p.numel() for p in model.network.encoder.parameters())
        assert one.arrays["n_train"] > 0
        leads = ["12"] if "attentive" in name else ["12", "1"]
        assert list(dict.fromkeys(row.leads for row in compare(one, other, n_resamples=10))) == leads
        assert f"{name}.npz" in shown


def test_the_command_evaluates_an_encoder_of_one_s_own(corpus, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        "class Mean:\n    def embed(self, x, fs, leads):\n        return [x.std(), abs(x).max(), fs]\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["--task", f"dx={corpus.classification}", "--leads=12,1", "--out=results", "--split=valid"]
    assert main(["mine:Mean", *arguments, "--protocols", "linear", "knn", "--method=mean"]) == 0
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "dx-knn-100.npz",
        "dx-linear-100.npz",
    ]
    assert main(["mine:Median", *arguments]) == 1
    assert "ConfigError: mine:Median: mine has no Median; did you mean Mean?" in capsys.readouterr().err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused_with_the_record(corpus, oracle, value):
    broken = oracle(corpus.classification, lambda row: np.array([1.0, value]))
    with pytest.raises(CheckpointError, match=r"not finite for \d+ of \d+ segments, the first of record"):
        evaluated(ObjectEncoder(broken, "broken"), corpus.classification)


def test_embeddings_without_a_direction_identify_nobody(corpus, oracle):
    blind = oracle(corpus.identification, lambda row: np.zeros(3))
    with pytest.raises(CheckpointError, match="12 leads: "):
        evaluated(ObjectEncoder(blind, "blind"), corpus.identification)


def test_manifests_and_protocols_that_are_of_no_task_are_refused(corpus, model):
    with pytest.raises(ManifestError, match="holds pretrain manifests, but not classification"):
        evaluated(ModelEncoder(model), corpus.pretrain)
    with pytest.raises(ConfigError, match="task: there is no protocol bayes; they are linear, once"):
        evaluated(ModelEncoder(model), corpus.classification, protocols=["linear", "bayes"])


def test_segments_that_touch_are_one_piece_and_others_are_not():
    rows = [
        Row("s#0:500", 500, "a", "p", 1), Row("s#0:0", 500, "a", "p", 0), Row("s#1:0", 500, "b", "p", 0),
        Row("s#0:900", 500, "a", "p", 2), Row("s#0:2000", 500, "a", "p", 3),
    ]  # fmt: skip
    found = [(row.path, row.n_samples) for row in joined(rows)]
    assert found == [("s#0:0", 1400), ("s#0:2000", 500), ("s#1:0", 500)]
