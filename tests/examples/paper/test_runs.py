"""`examples/paper/runs.py` and `train.py`: what a training keeps, goes on with, or puts aside."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
import torch
import yaml

from fairseq_signals.errors import ConfigError

SETTINGS = {"dataset": {"batch_size": 4}, "optimization": {"max_epoch": 3}, "model": {"width": 8}}


@pytest.fixture
def run(paper, tmp_path):
    """A run of a small configuration on 10 segments."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("root\n" + "segment\n" * 10)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(SETTINGS))
    return paper.runs.Run(tmp_path / "runs" / "12", tmp_path / "a.yaml", tmp_path / "data")


@pytest.fixture
def trained(paper, monkeypatch):
    """Trainings are only noted, and leave checkpoints; the list of their commands."""
    commands = []

    def execute(command, lock):
        commands.append(command)
        folder = dict(word.split("=", 1) for word in command[5:])["++checkpoint.save_dir"].strip("'")
        for name in ("checkpoint_best", "checkpoint_last"):
            content = {"model": {"w": torch.ones(2)}, "last_optimizer_state": {"state": torch.ones(9)}}
            torch.save({**content, "cfg": {"name": name}}, f"{folder}/{name}.pt")
        return 0

    monkeypatch.setattr(paper.runs, "execute", execute)
    return commands


def test_the_model_is_kept_without_optimizer_and_the_checkpoints_are_not(paper, run, trained):
    paper.runs.train([run])
    kept = torch.load(run.final, weights_only=True)
    assert kept["cfg"] == {"name": "checkpoint_best"}
    assert kept["model"]["w"].tolist() == [1, 1]
    assert kept["last_optimizer_state"] is None
    assert sorted(path.name for path in run.folder.iterdir()) == ["final.pt", "settings.json"]


def test_the_last_checkpoint_is_kept_where_it_is_asked_for_and_the_others_too(paper, run, trained):
    run.checkpoint = "last"
    paper.runs.train([run], keep_checkpoints=True)
    assert torch.load(run.final, weights_only=True)["cfg"] == {"name": "checkpoint_last"}
    assert len(list(run.folder.glob("checkpoint*.pt"))) == 2


def test_what_is_finished_is_not_trained_again(paper, run, trained):
    paper.runs.train([run])
    paper.runs.train([run])
    assert len(trained) == 1


def test_what_was_stopped_goes_on_in_its_folder(paper, run, trained):
    paper.runs.prepare(run)
    (run.folder / "checkpoint_last.pt").write_text("half way")
    paper.runs.prepare(run)
    assert (run.folder / "checkpoint_last.pt").read_text() == "half way"


@pytest.mark.parametrize("change", ["settings", "data", "model"])
def test_a_run_of_something_else_starts_anew_and_the_old_one_is_put_aside(
    paper, run, trained, change, tmp_path
):
    run.model = tmp_path / "model.pt"
    run.model.write_text("one")
    paper.runs.prepare(run)
    (run.folder / "checkpoint_last.pt").write_text("of before")
    if change == "settings":
        run.overrides = ["optimization.max_epoch=4"]
    elif change == "data":
        (run.data / "train.tsv").write_text("root\nsegment\n")
    else:
        run.model.write_text("another")
    paper.runs.prepare(run)
    assert not (run.folder / "checkpoint_last.pt").exists()
    assert (tmp_path / "runs" / "12.old1" / "checkpoint_last.pt").read_text() == "of before"


def test_comments_and_the_place_of_the_data_make_no_other_run(paper, run, tmp_path):
    identity = run.identity()
    run.config.write_text("# a comment\n" + run.config.read_text())
    run.data = run.data.rename(tmp_path / "moved")
    assert run.identity() == identity


def test_a_training_that_fails_stops_with_its_exit_code(paper, run, monkeypatch):
    monkeypatch.setattr(paper.runs, "execute", lambda command, lock: 3)
    with pytest.raises(SystemExit, match="exit code 3"):
        paper.runs.train([run])
    assert not run.final.exists()


def test_a_training_without_a_checkpoint_is_an_error(paper, run, monkeypatch):
    monkeypatch.setattr(paper.runs, "execute", lambda command, lock: 0)
    with pytest.raises(SystemExit, match="there is no checkpoint"):
        paper.runs.train([run])


def test_the_command_is_fairseqs_with_absolute_paths_and_the_last_of_two_overrides(paper, run):
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
def test_any_path_is_the_value_that_hydra_reads(paper, path):
    pytest.importorskip("hydra", minversion="1.1")
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = f"++a.b={paper.runs.hydra_value(path)}"
    (word,) = shlex.split(shlex.quote(text))
    assert OverridesParser.create().parse_override(word).value() == path


@pytest.fixture
def start(paper_dir):
    """`start(code, *arguments)`: a process that runs Python code with the workflow's modules."""
    processes = []

    def run_code(code, *arguments):
        lines = ["import sys, time, pathlib", "sys.path.insert(0, sys.argv[1])", "import guard"]
        command = [sys.executable, "-c", "\n".join([*lines, code]), str(paper_dir), *map(str, arguments)]
        env = {**os.environ, "PYTHONPATH": str(paper_dir.parents[1])}
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True))
        return processes[-1]

    yield run_code
    for process in processes:
        process.kill()
        process.communicate()


def test_a_folder_is_trained_in_by_one_process_at_a_time(paper, start, tmp_path):
    code = (
        "import guard, pathlib\nwith guard.only_one(pathlib.Path(sys.argv[2])): print('trains', flush=True)"
    )
    with paper.guard.only_one(tmp_path / "run"):
        process = start(code, tmp_path / "run")
        assert "waiting for another process" in process.stdout.readline()
        assert process.poll() is None
    assert process.communicate(timeout=60)[0] == "trains\n"


def test_a_second_workflow_in_the_folder_is_refused_until_the_first_is_gone(paper, start, tmp_path):
    code = "guard.only_one_workflow(pathlib.Path(sys.argv[2])); print('has it', flush=True)"
    first = start(f"{code}; time.sleep(600)", tmp_path)
    assert first.stdout.readline() == "has it\n"
    with pytest.raises(paper.guard.AlreadyRunningError, match="another workflow is running there"):
        paper.guard.only_one_workflow(tmp_path)
    first.kill()
    first.wait(60)
    paper.guard.only_one_workflow(tmp_path)


def test_updates_are_counted_for_schedules_that_are_spread_over_them(paper, run):
    assert paper.train.n_updates(run) == 9  # 3 epochs of 10 segments, 4 at a time
    run.overrides = ["optimization.update_freq=[2]"]
    assert paper.train.n_updates(run) == 6


def test_gpus_share_a_batch(paper, run):
    run.overrides = ["optimization.update_freq=[8]"]
    assert paper.train.several_gpus(run, 0) == paper.train.several_gpus(run, 1) == []
    assert paper.train.several_gpus(run, 4) == [
        "distributed_training.distributed_world_size=4",
        "optimization.update_freq=[2]",
    ]
    with pytest.raises(ConfigError, match="update_freq is 8, which 3 GPUs cannot share"):
        paper.train.several_gpus(run, 3)


@pytest.mark.parametrize(
    ("pretrained_on", "leads", "overrides"),
    [
        ("12", "12", []),
        ("12", "6", ["task.leads_to_load=6"]),
        ("6", "6", ["task.leads_to_load=6", "task.enable_padding_leads=false"]),
    ],
)
def test_leads_are_padded_for_a_model_of_twelve_and_alone_for_one_of_fewer(
    paper, pretrained_on, leads, overrides
):
    assert paper.train.lead_overrides(pretrained_on, leads) == overrides
    width = [] if pretrained_on == "12" else ["model.in_d=6"]
    assert paper.train.width_override(pretrained_on) == width


@pytest.mark.parametrize("task", ["classification", "identification"])
def test_random_initialisation_at_the_papers_size_is_that_of_examples_scratch(
    paper, scale, tmp_path, repo_dir, monkeypatch, task
):
    made = paper.experiment.Experiment(scale("paper"), tmp_path)
    arguments = shlex.split(made.finetune_arguments(task, "random_init", "12", "12", "1"))
    started = []
    monkeypatch.setattr(paper.train, "train", lambda runs, keep: started.extend(runs))
    monkeypatch.setattr(paper.train, "publish", lambda run, out: None)
    (tmp_path / "train.tsv").write_text("root\n" + "segment\n" * 61_440)  # as many updates as the file's
    files = ["--data", str(tmp_path), "--run", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    assert paper.train.main(["finetune", *files, *arguments]) == 0
    (run,) = started
    scratch = yaml.safe_load((repo_dir / "examples" / "scratch" / "config" / f"{task}.yaml").read_text())
    settings = run.settings()
    if task == "classification":  # the paper's tables are of the challenge's score
        scratch["checkpoint"]["best_checkpoint_metric"] = "cinc_score"
    for group in scratch:
        assert settings[group] == scratch[group], group
    assert run.model is None


def test_a_lead_set_has_a_run_of_its_own_and_the_model_its_name(paper, trained, tmp_path, run, monkeypatch):
    monkeypatch.setattr(paper.train, "EXAMPLES", tmp_path)
    monkeypatch.setattr(paper.runs, "fork", lambda command: paper.runs.execute(command, 0))
    run.config.write_text(yaml.safe_dump({**SETTINGS, "lr_scheduler": {"_name": "tri_stage"}}))
    model = tmp_path / "pretrained.pt"
    model.write_text("weights")
    out = tmp_path / "models"
    files = ["--data", str(run.data), "--run", str(tmp_path / "r"), "--out", str(out), "--config", "a.yaml"]
    leads = ["--leads", "12", "3", "--model", str(model), "--seed", "7"]
    assert paper.train.main(["finetune", *files, *leads]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["12.pt", "3.pt"]
    first, second = (set(command) for command in trained)
    assert second - first == {f"++checkpoint.save_dir={tmp_path}/r/3", f"++hydra.run.dir={tmp_path}/r/3",
                              "++task.leads_to_load=3"}  # fmt: skip
    assert {"++common.seed=7", "++optimization.max_update=9", f"++model.model_path={model}"} <= first
    identity = json.loads((tmp_path / "r" / "3" / "settings.json").read_text())
    assert identity["settings"]["task"] == {"leads_to_load": 3}
