"""The six commands of the README, on a folder of synthetic records and a table of labels."""

from __future__ import annotations

import csv
import shlex

import pytest

from fairseq_signals.commands.main import main

#: Beside each command of a training: two updates of each, in one process.
FEW = ["dataset.num_workers=0", "optimization.max_update=2", "dataset.batch_size=4"]


@pytest.fixture
def quick_start(repo_dir) -> list[list[str]]:
    """The words of each command."""
    text = (repo_dir / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Your own recordings")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in section.splitlines() if line.startswith("fairseq-signals ")]


@pytest.fixture
def folder(corpus, tmp_path, monkeypatch):
    """Where a user stands: recordings in `my_ecgs` and `new_ecgs`, and labels by the names of files."""
    for name in ("my_ecgs", "new_ecgs"):
        (tmp_path / name).symlink_to(corpus.raw)
    with (corpus.raw / "patients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        f"{row['record_id']},{'AF' if i % 3 else 'NORM|AF'},{row['patient_id']}" for i, row in enumerate(rows)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["record_id,labels,patient_id", *lines, ""]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_own_recordings_become_predictions_in_six_commands(
    quick_start, folder, start_fairseq, monkeypatch, capsys
):
    def execute(command, lock):
        training = start_fairseq(
            "hydra_train", folder / f"log-{len(list(folder.glob('log-*')))}", *command[1:]
        )
        training.process.join(timeout=300)
        return training.process.exitcode

    monkeypatch.setattr("fairseq_signals.training.run.execute", execute)
    commands = [words[1:] for words in quick_start]
    assert [words[0] for words in commands] == [
        *("preprocess", "manifest", "pretrain", "finetune", "evaluate", "predict")
    ]
    for words in commands:
        more = FEW if words[0] in ("pretrain", "finetune") else []
        try:
            code = main([*words, *more])
        except SystemExit as stopped:  # a script
            code = stopped.code
        assert code == 0, capsys.readouterr()
    out = capsys.readouterr().out
    assert "48 records by the names of their files" in out
    assert "next: fairseq-signals evaluate classifier --manifest manifests" in out
    with (folder / "predictions.csv").open(newline="") as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == 48
    assert {"AF", "NORM"} <= set(predicted[0])
