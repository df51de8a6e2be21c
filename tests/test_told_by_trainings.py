"""What a training tells its user: on a terminal, of its end, of folders and jobs, and of mistakes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
from types import SimpleNamespace

import pytest

from fairseq_signals.commands import main as cli

LOSS = r"valid on 'valid' subset \|.* \| loss ([\d.]+)"


@pytest.fixture(scope="module")
def on_a_terminal(start_training, corpus, pretrained, tmp_path_factory):
    """A training of two epochs, an update each, with two workers, and what it shows on a terminal."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    folder = tmp_path_factory.mktemp("on_a_terminal")
    (folder / "log.txt").symlink_to(os.ttyname(theirs))
    options = ("optimization.max_update=0", "optimization.max_epoch=2", "dataset.batch_size=64")
    options += (f"model.model_path={pretrained}", "dataset.num_workers=2")
    run = start_training("classification", corpus.classification, folder, *options)
    shown = b""
    while run.process.exitcode is None or select.select([terminal], [], [], 0)[0]:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 1 << 16)
    assert run.process.exitcode == 0, shown.decode()[-3000:]
    log = (folder / "hydra" / "hydra_train.log").read_text()
    return SimpleNamespace(folder=folder, shown=shown.decode(), log=log)


def test_a_terminal_shows_a_bar_of_all_updates_with_the_time_left(on_a_terminal):
    assert re.search(r"training: +0%\|.*\| 0/2 \[.*<.*update", on_a_terminal.shown)
    assert re.search(r"training: +50%\|.*\| 1/2 \[\d\d:\d\d<\d\d:\d\d, ", on_a_terminal.shown)


def test_the_log_tells_the_time_left_in_lines_and_has_no_bar(on_a_terminal):
    left = [
        float(left) for left in re.findall(r"\[train_inner\].* minutes_left=([\d.]+), ", on_a_terminal.log)
    ]
    assert len(left) == 2
    assert left[0] >= left[1] == 0
    assert "training: " not in on_a_terminal.log


def test_a_training_with_workers_ends_without_a_traceback(on_a_terminal):
    assert "Traceback" not in on_a_terminal.shown


def test_info_names_the_metric_and_the_epoch_of_a_checkpoint(on_a_terminal, capsys):
    assert re.search(r"epoch 002 \| valid on 'valid' subset", on_a_terminal.log)
    logged = re.findall(r"valid on 'valid' subset .*\| auroc ([\d.]+)", on_a_terminal.log)[-1]
    last = on_a_terminal.folder / "checkpoint_last.pt"
    assert cli.main(["info", str(last)]) == 0
    told = dict(re.findall(r"^  (\S.*?)  +(\S+)$", capsys.readouterr().out, re.MULTILINE))
    assert told["epoch"] == "2"
    assert float(told["auroc here"]) == pytest.approx(float(logged), abs=1e-3)
    assert "best (auroc)" in told
    assert "val_loss" not in told


def test_jobs_of_a_multirun_are_told_what_they_share_and_that_they_will_not_continue(
    start_fairseq, corpus, tiny_pretraining, repo_dir, tmp_path
):
    config = (
        "--config-dir",
        str(repo_dir / "examples" / "quickstart" / "config"),
        "--config-name",
        "pretrain",
    )
    options = (f"common.user_dir={repo_dir / 'fairseq_signals'}", f"task.data={corpus.pretrain}")
    options += ("dataset.num_workers=0", "dataset.disable_validation=false", "optimization.max_update=1")
    run = start_fairseq(
        "hydra_train", tmp_path, "-m", *config, *options, *tiny_pretraining, "common.seed=1,2"
    )
    output = run.wait()
    first, second = output.split("a training before left ")
    assert "jobs of a multirun share a process" in first
    assert "Start each training with a command of its own" in first
    assert second.split(", and fairseq")[0] == f"{float(re.search(LOSS, first)[1]):.4g}"
    assert output.count(f"checkpoint.save_dir=checkpoints is below {tmp_path / 'multirun'}") == 2


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("task.data=/nowhere/manifests", "task.data: there is no /nowhere/manifests"),
        ("+task.normalise=record", "unknown key task.normalise (did you mean normalize"),
    ],
)
def test_a_mistake_under_hydra_is_told_in_a_line(mistake, told, start_training, corpus, tmp_path):
    run = start_training("pretrain", corpus.pretrain, tmp_path, mistake, full_error="0")
    output = run.wait(exit_code=1)
    end = output[output.rindex("Error executing job with overrides") :].split("\n")
    assert end[1].startswith(told)
    assert [line for line in end[2:] if line] == [
        "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace."
    ]
    assert "Traceback" not in output
