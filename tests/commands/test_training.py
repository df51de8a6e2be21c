"""`fairseq-signals pretrain` and `finetune`: what they print, run, and say at the end."""

from __future__ import annotations

import shlex

import pytest

from fairseq_signals.commands.main import main
from tests.runs import noted_trainings  # noqa: F401


@pytest.fixture
def data(tmp_path):
    """Manifests of a classification, of six segments at 100 Hz."""
    line = "shard#0:0\t500\ts/{0}\ts/{0}\t0\t0\n"
    for name in ("train", "valid"):
        (tmp_path / f"{name}.tsv").write_text(f"{tmp_path}\n" + "".join(map(line.format, range(6))))
    (tmp_path / "manifest.json").write_text('{"kind": "classification", "fs": 100}')
    return tmp_path


def test_a_dry_run_prints_the_command_alone_and_writes_nothing(data, tmp_path, trained, capsys):
    options = ["optimization.max_update=2", "--dry-run"]
    assert main(["pretrain", str(data), "--out", str(tmp_path / "run"), *options]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    command = shlex.split(line)
    assert command[0] == "fairseq-hydra-train"
    assert command[-1] == "++optimization.max_update=2"
    assert trained == []
    assert not (tmp_path / "run").exists()


def test_a_training_prints_its_command_keeps_the_model_and_says_what_comes_next(
    data, tmp_path, trained, capsys
):
    run = tmp_path / "my run"
    command = ["pretrain", str(data), "--out", str(run), "optimization.max_update=2"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert f"$ {shlex.join(trained[0])}\n" in told
    assert "3 pairs of segments, 2 a batch, 2 updates: each is seen 1 times" in told
    assert f"next: fairseq-signals finetune DATA --start '{run}' --out RUN" in told
    assert (run / "final.pt").is_file()
    assert main(command) == 0
    assert "finished before" in capsys.readouterr().out
    assert len(trained) == 1


def test_another_training_in_the_folder_is_one_line_and_exit_code_1(data, tmp_path, trained, capsys):
    command = ["pretrain", str(data), "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert main([*command, "--seed", "2"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fairseq-signals pretrain: ConfigError: ")
    assert line.endswith("common.seed was 1 and is now 2. Choose another folder.")


def test_fine_tuning_needs_a_model_to_begin_with(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["finetune", str(data), "--out", str(tmp_path / "run")])
    assert "--start" in capsys.readouterr().err
