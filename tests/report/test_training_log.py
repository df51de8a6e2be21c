"""Logs of fairseq, in both formats and from both kinds of logger, and those of runs that were resumed."""

import math
import os

import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.report.training_log import read_training_log

HYDRA = "[2026-01-31 12:00:00,123][{}][INFO] - {}"
PLAIN = "2026-01-31 12:00:00 | INFO | {} | {}"
SIMPLE = [
    ("fairseq.trainer", "begin training epoch 1"),
    ("train_inner", "epoch 001:     10 / 20 loss=4.5, cmsc_loss=1.5, ups=0.5, num_updates=10, lr=0.001"),
    ("train_inner", "epoch 001:     20 / 20 loss=3.5, cmsc_loss=0.5, ups=0.5, num_updates=20, lr=0.002"),
    ("valid", "epoch 001 | valid on 'valid' subset | loss 2.5 | auroc 0.625 | num_updates 20"),
    ("train", "epoch 001 | loss 4 | cmsc_loss 1 | num_updates 20 | lr 0.002 | wall 9"),
]
JSON = [
    ("fairseq_cli.train", "{'_name': None}"),
    (
        "train_inner",
        '{"epoch": 1, "update": 0.5, "loss": "4.5", "cmsc_loss": "1.5", "num_updates": "10", "lr": "0.001"}',
    ),
    (
        "train_inner",
        '{"epoch": 1, "update": 1.0, "loss": "3.5", "cmsc_loss": "0.5", "num_updates": "20", "lr": "0.002"}',
    ),
    ("valid", '{"epoch": 1, "valid_loss": "2.5", "valid_auroc": "0.625", "valid_num_updates": "20"}'),
    (
        "train",
        '{"epoch": 1, "train_loss": "4", "train_num_updates": "20", "train_lr": "0.002"}',
    ),
]


def write(path, entries, template=HYDRA):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(template.format(*entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize("template", [HYDRA, PLAIN], ids=["hydra", "plain"])
@pytest.mark.parametrize("entries", [SIMPLE, JSON], ids=["simple", "json"])
def test_both_formats_give_the_same_series(tmp_path, entries, template):
    series = read_training_log(write(tmp_path / "train.log", entries, template))
    assert set(series) == {"train_inner", "train", "valid"}
    assert series["train_inner"].updates == [10, 20]
    assert series["train_inner"].values["loss"] == [4.5, 3.5]
    assert series["train_inner"].values["cmsc_loss"] == [1.5, 0.5]
    assert (series["valid"].updates, series["valid"].values) == ([20], {"loss": [2.5], "auroc": [0.625]})
    assert series["train"].values["loss"] == [4]
    assert series["train"].epochs == [1]


def test_after_a_resumption_the_later_log_counts(tmp_path):
    lines = [("train_inner", f"epoch 001:  {u:5d} / 99 loss={u}, num_updates={u}") for u in (10, 20, 30)]
    again = [
        ("train_inner", f"epoch 001:  {u:5d} / 99 loss=-{u}, gnorm=1, num_updates={u}") for u in (15, 25)
    ]
    series = read_training_log(write(tmp_path / "hydra_train.log", lines + again))["train_inner"]
    assert series.updates == [10, 15, 25]
    assert series.values["loss"] == [10, -15, -25]
    assert math.isnan(series.values["gnorm"][0])
    assert series.values["gnorm"][1:] == [1, 1]


def test_in_a_folder_hydras_logs_are_read_before_others(tmp_path):
    write(tmp_path / "2026" / "hydra_train.log", SIMPLE[:2])
    write(tmp_path / "other.log", SIMPLE[:3])
    assert read_training_log(tmp_path)["train_inner"].updates == [10]
    (tmp_path / "2026" / "hydra_train.log").unlink()
    assert read_training_log(tmp_path)["train_inner"].updates == [10, 20]


def test_logs_of_several_trainings_are_not_put_together(tmp_path):
    write(tmp_path / "a" / "hydra_train.log", SIMPLE)
    b = write(tmp_path / "b" / "hydra_train.log", SIMPLE)
    with pytest.raises(ConfigError, match=r"holds the logs of several trainings .*name the log or"):
        read_training_log(tmp_path)
    begins = [("fairseq.trainer", "Loaded checkpoint x.pt (epoch 1 @ 0 updates)"), *SIMPLE]
    write(b, begins)
    with pytest.raises(ConfigError, match="several trainings"):
        read_training_log(tmp_path)
    write(b, SIMPLE[:1])  # stopped before anything was logged
    assert read_training_log(tmp_path)["train_inner"].updates == [10, 20]


@pytest.mark.parametrize("template", [HYDRA, PLAIN], ids=["hydra", "plain"])
def test_a_training_that_went_on_in_another_folder_is_one(tmp_path, template):
    goes_on = [
        ("fairseq.trainer", "Loaded checkpoint checkpoints/checkpoint_last.pt (epoch 2 @ 20 updates)"),
        ("train_inner", "epoch 002:     10 / 20 loss=2.5, num_updates=30"),
    ]
    first = write(tmp_path / "10-00" / "hydra_train.log", SIMPLE, template)
    later = write(tmp_path / "09-00" / "hydra_train.log", goes_on, template)
    os.utime(first, (1, 1))
    os.utime(later, (2, 2))
    series = read_training_log(tmp_path)["train_inner"]
    assert (series.updates, series.epochs) == ([10, 20, 30], [1, 1, 2])
    assert series.values["loss"] == [4.5, 3.5, 2.5]
    assert math.isnan(series.values["cmsc_loss"][2])


def test_numbers_that_are_none_are_left_out(tmp_path):
    log = write(
        tmp_path / "a.log", [("train", "epoch 001 | loss inf | x -1e308 | best None | num_updates 5")]
    )
    assert read_training_log(log)["train"].values == {"loss": [math.inf], "x": [-math.inf]}


def test_what_is_no_log_is_said(tmp_path):
    with pytest.raises(ConfigError, match="there is no such log"):
        read_training_log(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"of 0 \.log files.*hydra_train.log"):
        read_training_log(tmp_path)
    with pytest.raises(ConfigError, match="no losses are in it"):
        read_training_log(write(tmp_path / "a.log", SIMPLE[:1]))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{{"epoch": Infinity, "num_updates": "5"}}', "epoch must be a number from 0 .* but is inf"),
        ('{{"epoch": [1], "num_updates": "5"}}', r"epoch must be .* but is \[1\]"),
        ('{{"epoch": 1, "num_updates": "1e400"}}', "num_updates must be a number .* but is inf"),
        ('{{"epoch": 1, "num_updates": "-1"}}', "num_updates must be a number .* but is -1"),
        ("epoch {digits} | loss 1 | num_updates 5", "epoch must be a number"),
        ("epoch 001 | loss 1 | num_updates nan", "num_updates must be a number .* but is nan"),
        ("epoch 001 | {names}num_updates 5", "has more than 1,000 different values"),
    ],
)
def test_an_entry_that_cannot_be_is_named_by_its_line(tmp_path, entry, message):
    names = "".join(f"loss{i} 1 | " for i in range(1001))
    entry = entry.format(digits="9" * 5000, names=names)
    log = write(tmp_path / "a.log", [*SIMPLE, ("train", entry)])
    with pytest.raises(ConfigError, match=rf"a\.log:6: {message}"):
        read_training_log(log)


@pytest.mark.parametrize(
    "entry", ['{"epoch"' * 99_999, '{"epoch": ' + "[" * 99_999, '{"a": 1}', "x" * 3_000_000]
)
def test_lines_that_are_no_entries_are_passed_over(tmp_path, entry):
    log = write(tmp_path / "a.log", [("train", entry), *SIMPLE])
    assert read_training_log(log)["train"].updates == [20]


def test_a_log_without_an_end_is_refused(tmp_path):
    (tmp_path / "a.log").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="a log that is a device or a pipe, but files of at most"):
        read_training_log(tmp_path / "a.log")
