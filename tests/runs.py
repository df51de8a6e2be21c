"""Trainings of `fairseq_signals.training.run` that are only noted: fixtures of several tests."""

from __future__ import annotations

import pytest
import torch
import yaml

from fairseq_signals.training.run import Run

SETTINGS = {"dataset": {"batch_size": 4}, "optimization": {"max_epoch": 3}, "model": {"width": 8}}


@pytest.fixture(name="run")
def small_run(tmp_path):
    """A run of a small configuration on 10 segments."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("root\n" + "segment\n" * 10)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(SETTINGS))
    return Run(tmp_path / "runs" / "12", tmp_path / "a.yaml", tmp_path / "data")


@pytest.fixture(name="trained")
def noted_trainings(monkeypatch):
    """Trainings are only noted, and leave checkpoints; the list of their commands."""
    commands = []

    def execute(command, lock=None):
        commands.append(command)
        folder = dict(word.split("=", 1) for word in command[5:])["++checkpoint.save_dir"].strip("'")
        for name in ("checkpoint_best", "checkpoint_last"):
            content = {"model": {"w": torch.ones(2)}, "last_optimizer_state": {"state": torch.ones(9)}}
            torch.save({**content, "cfg": {"name": name}}, f"{folder}/{name}.pt")
        return 0

    for name in ("execute", "fork"):
        monkeypatch.setattr(f"fairseq_signals.training.run.{name}", execute)
    return commands
