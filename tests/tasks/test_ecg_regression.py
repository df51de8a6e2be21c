"""Regression: standardised targets in training, the targets' units in validation."""

import fairseq.tasks
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, LabelError, ManifestError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.manifest.targets import TargetTable, format_target
from fairseq_signals.metrics.regression import METRICS, regression_metrics
from fairseq_signals.store.shards import StoreRow, write_shard

N, T = 19, 32
ONE = TargetTable(("age",), ("years",), (60.0,), (15.0,))
TWO = TargetTable(("age", "potassium"), ("years", "mmol/l"), (60.0, 4.5), (15.0, 0.5))
SIGNAL = np.random.default_rng(1).integers(-300, 300, (N, 12, T)).astype("i2")
VALUES = np.random.default_rng(0).normal([60, 4.5], [15, 0.5], (N, 2))


class FirstSamples(nn.Module):
    """Outputs that are the first samples of lead I, so that a test knows them."""

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, source, padding_mask=None):
        return source[:, 0, : self.n]


@pytest.fixture
def write(tmp_path):
    """`write(table, targets=None)`: manifests of records that begin with the outputs of `FirstSamples`."""

    def make(table, targets=None):
        targets = targets or [format_target(row[: len(table)]) for row in VALUES]
        write_shard(
            tmp_path / "shard-00000.arrow",
            [StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), SIGNAL[i]) for i in range(N)],
        )
        rows = [Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", "x/p", 0, t) for i, t in enumerate(targets)]
        for split in ("train", "valid"):
            (tmp_path / f"{split}.tsv").write_text("".join(format_manifest(tmp_path, rows)))
        (tmp_path / "targets.csv").write_text(table.to_csv())
        return tmp_path

    return make


def test_targets_are_standardised_by_the_table(write, setup):
    task = setup("ecg_regression", write(TWO))
    task.load_dataset("train")
    assert task.num_labels == 2
    found = task.dataset("train").collater(range(N))["label"]
    expected = (VALUES - [60, 4.5]) / [15, 0.5]
    assert found.dtype == torch.float64  # which fairseq does not round where a model trains in 16 bits
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_validation_of_one_target_is_in_its_units_whatever_the_batches(
    write, setup, build_criterion, validate
):
    task = setup("ecg_regression", write(ONE))
    task.load_dataset("valid")
    criterion = build_criterion(task, "regression")
    expected = regression_metrics(VALUES[:, :1], SIGNAL[:, 0, :1] * 0.01 * 15 + 60)
    for batch_size in (1, 5, 100):
        found = validate(task, criterion, FirstSamples(1).eval(), batch_size=batch_size)
        assert {name: found[name] for name in METRICS} == pytest.approx(
            {name: values.item() for name, values in expected.items()}, rel=1e-5
        )
        assert found["loss"] == pytest.approx((found["rmse"] / 15) ** 2, abs=1e-3)


def test_several_targets_are_each_in_their_units_and_averaged_in_deviations(
    write, setup, build_criterion, validate
):
    task = setup("ecg_regression", write(TWO))
    task.load_dataset("valid")
    found = validate(task, build_criterion(task, "regression", loss="l1"), FirstSamples(2).eval())
    expected = regression_metrics(VALUES, SIGNAL[:, 0, :2] * 0.01 * [15, 0.5] + [60, 4.5])
    for k in range(2):
        for name in METRICS:
            assert found[f"{name}_{k}"] == pytest.approx(expected[name][k], rel=1e-5)
    assert found["mae"] == pytest.approx((expected["mae"] / [15, 0.5]).mean(), rel=1e-5)
    assert found["mae"] == pytest.approx(found["loss"], abs=1e-3)
    assert found["r2"] == pytest.approx(expected["r2"].mean(), rel=1e-5)


def test_a_checkpoint_keeps_the_table_and_another_one_is_refused(write, setup):
    folder = write(TWO)
    kept = setup("ecg_regression", folder).state_dict()
    assert kept["targets"] == {
        "names": ["age", "potassium"],
        "units": ["years", "mmol/l"],
        "means": [60.0, 4.5],
        "stds": [15.0, 0.5],
    }
    setup("ecg_regression", folder).load_state_dict(kept)
    kept["targets"]["means"][0] = 61.0
    with pytest.raises(LabelError, match=r"targets\.csv has age, potassium.*age, potassium of another table"):
        setup("ecg_regression", folder).load_state_dict(kept)


@pytest.mark.parametrize("target", ["", "60", "60,4,1", "1e999,4"])
def test_a_target_of_another_number_of_values_is_named_with_its_line(target, write, setup):
    task = setup("ecg_regression", write(TWO, ["60,4.5", "-1.5,4", target]))
    with pytest.raises(ManifestError, match=rf"train\.tsv:4: target must be 2 numbers.*but is '{target}'"):
        task.load_dataset("train")


@pytest.mark.parametrize(
    ("metric", "maximize"), [("mae", True), ("rmse", True), ("r2", False), ("pearson", False)]
)
def test_a_best_checkpoint_that_would_be_the_worst_is_warned_about(metric, maximize, write, caplog):
    for wrong in (True, False):
        caplog.clear()
        sections = {"task": {"_name": "ecg_regression", "data": str(write(ONE))}, "common": {"seed": 1}}
        sections["checkpoint"] = {"best_checkpoint_metric": metric, "save_dir": "x", "restore_file": "y"}
        sections["checkpoint"]["maximize_best_checkpoint_metric"] = maximize == wrong
        cfg = OmegaConf.create({**sections, "criterion": {"_name": "regression"}})
        fairseq.tasks.setup_task(cfg.task).build_criterion(cfg.criterion)
        assert ("checkpoint_best.pt would be the worst" in caplog.text) == wrong


def test_criterions_of_other_tasks_are_refused(write, setup, build_criterion):
    task = setup("ecg_regression", write(ONE))
    with pytest.raises(ConfigError, match="binary_cross_entropy_with_logits is not for task ecg_regression"):
        build_criterion(task, "binary_cross_entropy_with_logits")


def test_without_a_target_table_the_next_step_is_told(write, setup):
    folder = write(ONE)
    (folder / "targets.csv").unlink()
    with pytest.raises(LabelError, match=r"targets\.csv: there is no such table"):
        setup("ecg_regression", folder).load_dataset("train")
