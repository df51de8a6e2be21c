"""`Run` and `train`: what a training keeps, goes on with, or puts aside."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys

import pytest
import torch

from fairseq_signals.errors import TrainingError
from fairseq_signals.training.run import hydra_value, only_one, prepare, train
from tests.runs import noted_trainings, small_run  # noqa: F401


def test_the_model_is_kept_without_optimizer_and_the_checkpoints_are_not(run, trained):
    train([run])
    kept = torch.load(run.final, weights_only=True)
    assert kept["cfg"] == {"name": "checkpoint_best"}
    assert kept["model"]["w"].tolist() == [1, 1]
    assert kept["last_optimizer_state"] is None
    assert sorted(path.name for path in run.folder.iterdir()) == ["final.pt", "settings.json"]


def test_the_last_checkpoint_is_kept_where_it_is_asked_for_and_the_others_too(run, trained):
    run.checkpoint = "last"
    train([run], keep_checkpoints=True)
    assert torch.load(run.final, weights_only=True)["cfg"] == {"name": "checkpoint_last"}
    assert len(list(run.folder.glob("checkpoint*.pt"))) == 2


def test_what_is_finished_is_not_trained_again(run, trained):
    train([run])
    train([run])
    assert len(trained) == 1


def test_what_was_stopped_goes_on_in_its_folder(run, trained):
    prepare(run)
    (run.folder / "checkpoint_last.pt").write_text("half way")
    prepare(run)
    assert (run.folder / "checkpoint_last.pt").read_text() == "half way"


@pytest.mark.parametrize("change", ["settings", "data", "model"])
def test_a_run_of_something_else_starts_anew_and_the_old_one_is_put_aside(run, trained, change, tmp_path):
    run.model = tmp_path / "model.pt"
    run.model.write_text("one")
    prepare(run)
    (run.folder / "checkpoint_last.pt").write_text("of before")
    if change == "settings":
        run.overrides = ["optimization.max_epoch=4"]
    elif change == "data":
        (run.data / "train.tsv").write_text("root\nsegment\n")
    else:
        run.model.write_text("another")
    prepare(run)
    assert not (run.folder / "checkpoint_last.pt").exists()
    assert (tmp_path / "runs" / "12.old1" / "checkpoint_last.pt").read_text() == "of before"


def test_comments_and_the_place_of_the_data_make_no_other_run(run, tmp_path):
    identity = run.identity()
    run.config.write_text("# a comment\n" + run.config.read_text())
    run.data = run.data.rename(tmp_path / "moved")
    assert run.identity() == identity


def test_a_training_that_fails_stops_with_its_exit_code(run, monkeypatch):
    monkeypatch.setattr("fairseq_signals.training.run.execute", lambda command, lock: 3)
    with pytest.raises(TrainingError, match="exit code 3"):
        train([run])
    assert not run.final.exists()


def test_a_training_without_a_checkpoint_is_an_error(run, monkeypatch):
    monkeypatch.setattr("fairseq_signals.training.run.execute", lambda command, lock: 0)
    with pytest.raises(TrainingError, match="there is no checkpoint"):
        train([run])


def test_the_command_is_fairseqs_with_absolute_paths_and_the_last_of_two_overrides(run):
    run.overrides = ["dataset.batch_size=2", "dataset.batch_size=8"]
    command = run.command()
    assert command[:5] == [
        "fairseq-hydra-train",
        "--config-dir",
        str(run.config.parent),
        "--config-name",
        "a",
    ]
    assert f"++task.data={run.data}" in command
    assert "++dataset.batch_size=8" in command
    assert "++dataset.batch_size=2" not in command


@pytest.mark.parametrize("path", ["/a/b-1.pt", "/with blank/a", "/it's/a", "/a=b,c/leads-12+6", "/ä/(x)"])
def test_any_path_is_the_value_that_hydra_reads(path):
    pytest.importorskip("hydra", minversion="1.1")
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = f"++a.b={hydra_value(path)}"
    (word,) = shlex.split(shlex.quote(text))
    assert OverridesParser.create().parse_override(word).value() == path


TRAINS = """
import pathlib, sys
from fairseq_signals.training.run import only_one
with only_one(pathlib.Path(sys.argv[1])): print("trains", flush=True)
"""


def test_a_folder_is_trained_in_by_one_process_at_a_time(tmp_path, repo_dir):
    folder, environment = tmp_path / "run", {**os.environ, "PYTHONPATH": str(repo_dir)}
    command = [sys.executable, "-c", TRAINS, str(folder)]
    with contextlib.ExitStack() as stack:
        with only_one(folder):
            process = stack.enter_context(subprocess.Popen(command, stdout=-1, env=environment, text=True))
            stack.callback(process.kill)
            assert "waiting for another process" in process.stdout.readline()
            assert process.poll() is None
        assert process.communicate(timeout=60)[0] == "trains\n"


def test_updates_are_counted_for_schedules_that_are_spread_over_them(run):
    assert run.n_updates(3) == 9  # 3 epochs of 10 segments, 4 at a time
    run.overrides = ["optimization.update_freq=[2]"]
    assert run.n_updates(3) == 6
