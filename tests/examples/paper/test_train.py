"""`examples/paper/train.py`: the trainings that a step of the workflow means."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml

from fairseq_signals.errors import ConfigError
from tests.runs import SETTINGS, noted_trainings, small_run  # noqa: F401


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
