"""Classification: classes from files, and metrics of a whole validation set."""

import fairseq.tasks
import numpy as np
import pytest
import scipy.io
import torch
from omegaconf import OmegaConf
from torch import nn

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, LabelError, ManifestError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.metrics.cinc2021 import challenge_score
from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.tasks import ecg_classification

N, C, T = 23, 4, 32
CODES = ("426783006", "164889003", "426177001", "59118001")
BCE = "binary_cross_entropy_with_logits"


class FirstSamples(nn.Module):
    """Logits that are the first samples of lead I, so that a test knows them."""

    def forward(self, source, padding_mask=None, lead_present=None):
        return source[:, 0, :C]


@pytest.fixture(scope="module")
def labels():
    """(N, C) of valid and of test; the last class has no positive."""
    rng = np.random.default_rng(0)
    labels = {split: rng.random((N, C)) < 0.4 for split in ("train", "valid", "test")}
    for value in labels.values():
        value[:, -1] = False
        value[0] = False
    return labels


@pytest.fixture(scope="module")
def data(labels, tmp_path_factory):
    """Manifests of a store whose record i begins with the logits of item i, in adu of 0.01 mV."""
    folder = tmp_path_factory.mktemp("classification")
    rng = np.random.default_rng(1)
    rows = [
        StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), rng.integers(-300, 300, (12, T)).astype("i2"))
        for i in range(N)
    ]
    write_shard(folder / "shard-00000.arrow", rows)
    for split, label in labels.items():
        targets = [",".join(map(str, np.flatnonzero(row))) for row in label]
        (folder / f"{split}.tsv").write_text(
            "".join(
                format_manifest(
                    folder,
                    [
                        Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", f"x/r{i}", 0, targets[i])
                        for i in range(N)
                    ],
                )
            )
        )
    lines = [f"{i},class {i},C{i},{code}" for i, code in enumerate(CODES)]
    (folder / "labels.csv").write_text("\n".join(["index,name,abbreviation,codes", *lines]) + "\n")
    weights = np.full((C, C), 0.3) + 0.7 * np.eye(C)
    lines = [",".join([code, *map(str, row)]) for code, row in zip(CODES, weights)]
    (folder / "weights.csv").write_text("\n".join([",".join(["", *CODES]), *lines]) + "\n")
    return folder


@pytest.fixture
def task(setup, data):
    task = setup("ecg_classification", data)
    for split in ("valid", "test"):
        task.load_dataset(split)
    return task


def scores_of(task, subset) -> np.ndarray:
    batch = task.dataset(subset).collater(range(N))
    return torch.sigmoid(batch["net_input"]["source"][:, 0, :C]).numpy()


def test_targets_are_multi_hot_with_the_classes_of_the_label_table(task, labels):
    assert task.num_labels == C
    for subset in ("valid", "test"):
        found = task.dataset(subset).collater(range(N))["label"]
        assert np.array_equal(found.numpy(), labels[subset].astype(np.float32))


def test_a_checkpoint_keeps_the_classes_and_other_classes_are_refused(task, setup, data):
    kept = task.state_dict()
    assert kept["labels"]["abbreviations"] == [f"C{i}" for i in range(C)]
    assert [codes for (codes,) in kept["labels"]["codes"]] == list(CODES)
    setup("ecg_classification", data).load_state_dict(kept)
    setup("ecg_classification", data).load_state_dict({})  # of a checkpoint that kept nothing
    kept["labels"]["names"][0] = "another"
    with pytest.raises(LabelError, match=r"labels\.csv has class 0, .*was trained on another, class 1"):
        setup("ecg_classification", data).load_state_dict(kept)


@pytest.mark.parametrize("batch_size", [1, 5, 22, 23, 100])
def test_metrics_are_of_the_whole_set_whatever_the_batches(
    task, labels, build_criterion, validate, batch_size
):
    criterion = build_criterion(task, BCE, report_per_class=True)
    found = validate(task, criterion, FirstSamples().eval(), "valid", batch_size)
    scores = scores_of(task, "valid")
    expected = classification_metrics(labels["valid"], scores, threshold=0.5, average="macro")
    for name in ("auroc", "auprc", "accuracy", "f_measure"):
        assert found[name] == expected[name]
    for c in range(C - 1):
        assert found[f"auroc_{c}"] == expected["auroc_classes"][c]
        assert found[f"auprc_{c}"] == expected["auprc_classes"][c]
    assert np.isnan(found[f"auroc_{C - 1}"])  # a class without a positive is left out of the mean
    assert np.isfinite(found["auroc"])
    weights = np.full((C, C), 0.3) + 0.7 * np.eye(C)
    assert found["cinc_score"] == challenge_score(labels["valid"], scores > 0.5, weights, 0)
    logits = torch.logit(torch.from_numpy(scores).double())
    bce = nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(labels["valid"]).double())
    assert found["loss"] == pytest.approx(float(bce), abs=1e-3)


def test_subsets_do_not_mix(task, labels, build_criterion, validate):
    criterion = build_criterion(task, BCE)
    model = FirstSamples().eval()
    task.begin_valid_epoch(1, model)
    found = {subset: validate(task, criterion, model, subset) for subset in ("valid", "test")}
    for subset, values in found.items():
        assert values["auroc"] == classification_metrics(labels[subset], scores_of(task, subset))["auroc"]
    assert found["valid"]["auroc"] != found["test"]["auroc"]


def test_an_epoch_forgets_the_one_before(task, build_criterion, validate):
    criterion, model = build_criterion(task, BCE), FirstSamples().eval()
    task.begin_valid_epoch(1, model)
    first = validate(task, criterion, model)
    task.begin_valid_epoch(2, model)
    assert not task.validation
    other = nn.Sequential(FirstSamples(), nn.Linear(C, C))
    other.forward = lambda source, padding_mask=None, lead_present=None: -source[:, 0, :C]
    turned = validate(task, criterion, other.eval())
    assert turned["auroc"] == pytest.approx(1 - first["auroc"])


def test_micro_and_macro_averages_differ_and_are_honoured(task, labels, build_criterion, validate):
    scores = scores_of(task, "valid")
    found = {}
    for average in ("macro", "micro"):
        criterion = build_criterion(task, BCE, auc_average=average)
        task.begin_valid_epoch(1, None)
        found[average] = validate(task, criterion, FirstSamples().eval())
        expected = classification_metrics(labels["valid"], scores, average=average)
        for name in ("auroc", "auprc", "f_measure"):
            assert found[average][name] == expected[name]
    assert found["macro"]["auroc"] != found["micro"]["auroc"]


def test_the_threshold_decides_what_is_predicted(task, labels, build_criterion, validate):
    criterion = build_criterion(task, BCE, threshold=0.8)
    found = validate(task, criterion, FirstSamples().eval())
    right = (scores_of(task, "valid") > 0.8) == labels["valid"]
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["label_accuracy"] == pytest.approx(right.mean(), abs=1e-5)


def test_metrics_are_computed_once_and_not_after_every_batch(task, build_criterion, validate, monkeypatch):
    calls = []

    def counted(label, *args, **kwargs):
        calls.append(len(label))
        return classification_metrics(label, *args, **kwargs)

    monkeypatch.setattr(ecg_classification, "classification_metrics", counted)
    validate(task, build_criterion(task, BCE), FirstSamples().eval(), batch_size=2)
    assert calls == [2, N]  # the first batch is a whole set as far as anyone knows


def test_without_auc_none_is_reported(task, build_criterion, validate):
    criterion = build_criterion(task, BCE, report_auc=False, report_cinc_score=False)
    found = validate(task, criterion, FirstSamples().eval())
    assert set(found) == {"nsignals", "loss", "label_accuracy", "accuracy", "f_measure"}


def test_training_batches_are_not_collected(task, build_criterion):
    task.load_dataset("train")
    dataset = task.dataset("train")
    sample = dataset.collater(range(3))
    _, _, log = build_criterion(task, BCE)(FirstSamples().train(), sample)
    assert {name for name, value in log.items() if torch.is_tensor(value) and value.dim()} == set()
    assert not task.validation


def test_what_the_challenge_score_needs_is_asked_for(setup, data, build_criterion, tmp_path):
    for name in ("labels.csv", "train.tsv"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    with pytest.raises(
        ConfigError, match=r"needs a weight matrix, but there is no .*weights.csv. Set criterion.weights_file"
    ):
        build_criterion(setup("ecg_classification", tmp_path), BCE, report_cinc_score=True)
    task = setup("ecg_classification", tmp_path)
    build_criterion(task, BCE)
    assert task.weights is None
    build_criterion(task, BCE, weights_file=str(data / "weights.csv"))
    assert task.weights[0].shape == (C, C)


def build_with(data, metric: str, maximize: bool = True, validate: bool = True, **options: bool):
    """The criterion of a whole configuration whose best checkpoint goes by `metric`."""
    sections = {"task": {"_name": "ecg_classification", "data": str(data)}, "common": {"seed": 1}}
    sections["checkpoint"] = {"best_checkpoint_metric": metric, "save_dir": "x", "restore_file": "y"}
    sections["checkpoint"]["maximize_best_checkpoint_metric"] = maximize
    sections["dataset"] = {"disable_validation": not validate}
    sections["criterion"] = {"_name": BCE, "report_cinc_score": False, **options}
    cfg = OmegaConf.create(sections)
    return fairseq.tasks.setup_task(cfg.task).build_criterion(cfg.criterion)


@pytest.mark.parametrize("metric", ["cinc_score", "auroc_3"])
def test_a_best_checkpoint_by_what_validation_does_not_log_is_refused_at_the_start(metric, data, caplog):
    logged = "loss, label_accuracy, accuracy, f_measure, auroc, auprc. Choose one of these"
    with pytest.raises(ConfigError, match=f"metric is {metric}, but validation logs {logged}"):
        build_with(data, metric)
    assert build_with(data, metric, report_cinc_score=True, report_per_class=True)
    assert not caplog.text
    assert build_with(data, metric, validate=False)
    assert logged in caplog.text
    assert "nothing is validated (dataset.disable_validation)" in caplog.text


@pytest.mark.parametrize(
    ("metric", "maximize", "advice"),
    [
        ("auroc", False, "but the best auroc is the largest: checkpoint_best.pt would be the worst. Set "
         "checkpoint.maximize_best_checkpoint_metric=true"),
        ("loss", True, "is true, but the best loss is the smallest"),
        ("auroc", True, ""),
        ("loss", False, ""),
    ],
)  # fmt: skip
def test_a_best_checkpoint_that_would_be_the_worst_is_warned_about(metric, maximize, advice, data, caplog):
    build_with(data, metric, maximize)
    assert advice in caplog.text
    assert bool(caplog.text) == bool(advice)


def test_a_class_that_the_table_lacks_is_named_with_its_line(setup, data, tmp_path):
    (tmp_path / "train.tsv").write_text(
        "".join(format_manifest(data, [Row("shard-00000.arrow#0:0", T, "x/r0", "x/r0", 0, f"1,{C}")]))
    )
    (tmp_path / "labels.csv").write_bytes((data / "labels.csv").read_bytes())
    with pytest.raises(ManifestError, match=rf"train.tsv:2: class {C}, but labels.csv has {C} classes"):
        setup("ecg_classification", tmp_path).load_dataset("train")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(
        ManifestError, match=r"has no labels.csv; make the folder with manifests/classification"
    ):
        setup("ecg_classification", tmp_path).load_dataset("train")


def test_a_model_of_other_classes_is_refused(task, build_criterion):
    model = nn.Sequential()
    model.forward = lambda source, padding_mask=None, lead_present=None: source[:, 0, : C + 1]
    dataset = task.dataset("valid")
    with pytest.raises(ConfigError, match=f"the model has {C + 1} classes, but the manifest has {C}"):
        build_criterion(task, BCE)(model.eval(), dataset.collater([0]))


def test_mat_files_of_the_authors_bring_their_labels(setup, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.random((3, 1, 26)) < 0.2
    for i in range(3):
        scipy.io.savemat(
            tmp_path / f"A{i}_0.mat",
            {"feats": rng.normal(size=(12, 40)), "curr_sample_rate": 500, "label": labels[i].astype(int)},
        )
    lines = [str(tmp_path), *(f"A{i}_0.mat\t40" for i in range(3))]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    task = setup("ecg_classification", tmp_path)
    task.load_dataset("train")
    assert task.num_labels == 26
    dataset = task.dataset("train")
    batch = dataset.collater(range(3))
    assert np.array_equal(batch["label"].numpy(), labels[:, 0].astype(np.float32))
    assert batch["net_input"]["source"].shape == (3, 12, 40)
