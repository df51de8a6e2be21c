"""What a step of a benchmark depends on, and how much is left to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairseq_signals.benchmark.entries import Method, Task, Training
from fairseq_signals.benchmark.progress import Progress
from fairseq_signals.benchmark.settings import FINETUNING, Settings, find_config
from fairseq_signals.benchmark.trainings import finetuning, pretraining
from fairseq_signals.benchmark.work import Work


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Two methods, one of them with the encoder of the other."""
    methods = {
        "random": Method("random", random_of="byol"),
        "byol": Method(
            "byol",
            config=find_config("joint_embedding/config/pretraining/byol_demo.yaml", tmp_path),
            overrides=("model.ema_updates={updates}",),
            seconds=0.5,
        ),
        "then": Method("then", config=find_config("mae/config/pretraining/mtae_demo.yaml", tmp_path),
                       seconds=1.0, start="byol"),
    }  # fmt: skip
    finetune = Training(config=str(FINETUNING))
    return replace(Settings(methods, {}, {}), rows=("random", "byol"), seeds=(1, 2), out=str(tmp_path),
                   budget_s=50.0, finetune=finetune)  # fmt: skip


def test_a_row_at_random_is_of_the_model_whose_encoder_it_has(settings):
    work = Work(settings)
    assert work.model("random", "1") == work.model("byol", "1") == ["pretrained/byol/seed1.pt"]
    assert work.start("then", "2") == ["pretrained/byol/seed2.pt"]
    assert work.start("byol", "2") == []
    assert work.results() == [
        f"results/{name}/seed{seed}/frozen.done" for seed in (1, 2) for name in ("random", "byol")
    ]


def test_a_pretraining_depends_on_its_budget_and_not_on_other_methods(settings):
    before = Work(settings).of_pretraining("byol")
    assert Work(replace(settings, rows=("byol",), seeds=(3,))).of_pretraining("byol") == before
    assert Work(replace(settings, budget_s=60.0)).of_pretraining("byol") != before


def test_the_updates_of_a_pretraining_stand_in_its_schedule_and_overrides(settings):
    run = pretraining(settings, "byol", 7)
    values = run.settings()
    assert values["optimization"]["max_update"] == values["lr_scheduler"]["total_num_update"] == 100
    assert values["model"]["ema_updates"] == 100
    assert values["common"]["seed"] == 7
    assert values["task"]["sample_rate"] == settings.fs


def test_a_row_at_random_is_fine_tuned_without_what_was_learnt(settings):
    task = Task("dx", "classification", ("mine",))
    one, other = (finetuning(settings, name, 1, task, 10).settings()["model"] for name in ("random", "byol"))
    assert one.pop("no_pretrained_weights") is True
    assert one == other


def test_the_time_left_is_reckoned_from_the_steps_that_have_ended():
    progress = Progress({"a": 10.0, "b": 30.0, "c": 60.0}, began=100.0)
    assert progress.ended("a", 105.0) == "[1/3] a; about 45 s left"
    assert progress.ended("b", 220.0) == "[2/3] b; about 3 min left"
    assert progress.ended("c", 400.0) == "[3/3] c"
