"""Classification where a segment is of exactly one class: its targets, and metrics of a validation."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import nn

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard

N, C, T = 17, 3, 32
CE, BCE = "cross_entropy_with_logits", "binary_cross_entropy_with_logits"
LOGITS = np.random.default_rng(1).integers(-300, 300, (N, 12, T)).astype("i2")
CLASS = np.random.default_rng(0).permutation(np.arange(N) % C)


class FirstSamples(nn.Module):
    """Logits that are the first samples of lead I, so that a test knows them."""

    def forward(self, source, padding_mask=None):
        return source[:, 0, :C]


@pytest.fixture
def write(tmp_path):
    """`write(targets)`: manifests of a store whose record i begins with the logits of item i."""

    def make(targets):
        records = [
            StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), LOGITS[i]) for i in range(len(targets))
        ]
        write_shard(tmp_path / "shard-00000.arrow", records)
        rows = [Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", "x/p", 0, t) for i, t in enumerate(targets)]
        (tmp_path / "valid.tsv").write_text("".join(format_manifest(tmp_path, rows)))
        lines = ["index,name,abbreviation,codes", *(f"{c},class {c},C{c},{c}" for c in range(C))]
        (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    return make


def test_metrics_are_of_the_most_probable_class_and_of_one_class_against_the_rest(
    write, setup, build_criterion, validate
):
    task = setup("ecg_classification", write(list(map(str, CLASS))))
    criterion = build_criterion(task, CE, report_per_class=True)
    task.load_dataset("valid")
    found = validate(task, criterion, FirstSamples().eval())
    logits = torch.from_numpy(LOGITS[:, 0, :C] * 0.01)
    p, predicted = logits.softmax(dim=1).numpy(), logits.argmax(dim=1).numpy()
    one_hot = np.eye(C)[CLASS]
    expected = {
        "accuracy": (predicted == CLASS).mean(),
        "f_measure": f1_score(CLASS, predicted, average="macro"),
        "auroc": roc_auc_score(CLASS, p, multi_class="ovr"),
        "auprc": average_precision_score(one_hot, p),
        "auroc_2": roc_auc_score(one_hot[:, 2], p[:, 2]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["label_accuracy"] == pytest.approx(expected["accuracy"], abs=1e-5)
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(N), CLASS]).mean(), abs=1e-3)
    assert "cinc_score" not in found


@pytest.mark.parametrize(("target", "n"), [("", 0), ("0,2", 2)])
def test_a_segment_of_none_or_several_classes_is_an_error_that_names_its_line(
    target, n, write, setup, build_criterion
):
    data = write(["0", "1", target, "2", target])
    task = setup("ecg_classification", data)
    build_criterion(task, CE)
    with pytest.raises(
        ManifestError, match=rf"valid\.tsv:4: the segment is of {n} classes.*2 of 5.*--one-class"
    ):
        task.load_dataset("valid")
    task = setup("ecg_classification", data)
    build_criterion(task, BCE)
    task.load_dataset("valid")


def test_numbers_are_no_classes(write, setup):
    task = setup("ecg_classification", write(["0", "1"]))
    manifest = task.manifest("valid")
    manifest.targets[1] = "1.5"
    with pytest.raises(ManifestError, match=r"valid\.tsv:3: target must be class indices, but is '1.5'"):
        task._targets(manifest)


def test_a_criterion_of_another_task_is_refused(write, setup, build_criterion):
    with pytest.raises(ConfigError, match="criterion arcface is not for task ecg_classification"):
        build_criterion(setup("ecg_classification", write(["0"])), "arcface")
