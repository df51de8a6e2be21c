"""Lead distillation by `fairseq-hydra-train`: it resumes bit for bit; micro-batches change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_checkpoint
from tests.sizes import TINY

DEMOS = ("lead_distillation_demo", "w2v_cmsc_lead_distillation_demo")


@pytest.fixture(scope="module")
def start(start_training, repo_dir, corpus, tmp_path_factory):
    """`start(demo, save_dir, updates, optimizer=None, **options)`: a demo with a tiny encoder."""

    def train(demo: str, save_dir: Path, updates: int, optimizer: dict | None = None, **options: float):
        file = repo_dir / f"examples/lead_distillation/config/pretraining/{demo}.yaml"
        config = yaml.safe_load(file.read_text())
        heads = {"distill_dim": 8, "distill_hidden": 16, "dropout": options.get("dropout", 0.1)}
        contrast = {"latent_vars": 8, "final_dim": 8, "num_negatives": 5} if "w2v" in demo else {}
        config["model"].update(TINY, **heads, **contrast)
        config["task"]["max_sample_size"] = 640  # cut at random
        config["dataset"]["batch_size"] = options.get("batch_size", 4)
        rate, freq = options.get("lr", 0.002), options.get("update_freq", 1)
        config["optimization"].update(max_update=updates, lr=[rate], update_freq=[freq])
        config["lr_scheduler"].update(warmup_updates=0, total_num_update=20)
        config["optimizer"] = optimizer or config["optimizer"]
        tiny = tmp_path_factory.mktemp(demo) / "tiny.yaml"
        tiny.write_text(yaml.safe_dump(config))
        return start_training(tiny, corpus.pretrain, save_dir)

    return train


def differing(one: dict, other: dict, tolerance: float = 0.0) -> list:
    """Names of parameters and buffers that differ."""
    assert one.keys() == other.keys()
    return [key for key in one if float((one[key].double() - other[key].double()).abs().max()) > tolerance]


@pytest.fixture(scope="module")
def unbroken(start, tmp_path_factory):
    """The runs of four updates."""
    runs = {demo: start(demo, tmp_path_factory.mktemp("unbroken"), 4) for demo in DEMOS}
    for run in runs.values():
        run.wait()
    return runs


@pytest.mark.parametrize("demo", DEMOS)
def test_a_run_that_was_broken_off_ends_as_an_unbroken_one_bit_for_bit(demo, start, unbroken, tmp_path):
    start(demo, tmp_path / "run", 2).wait()
    resumed = start(demo, tmp_path / "run", 4)
    assert "@ 2 updates)" in resumed.wait()
    found, expected = (run.checkpoint()["model"] for run in (resumed, unbroken[demo]))
    assert not differing(found, expected)
    assert int(found["teacher.last_update"]) == 3  # it follows before the update after it
    key = "encoder.layer_norm.weight"
    assert not torch.equal(found[key], found[f"teacher.{key}"])


def test_micro_batches_make_the_same_student_teacher_and_centre(start, corpus, tmp_path):
    # plain gradient descent: Adam would scale up the rounding of gradients that are zero
    plain = {"_name": "sgd", "lr": [0.1], "momentum": 0.0, "weight_decay": 0.0}
    n_segments = len((corpus.pretrain / "train.tsv").read_text().splitlines()) - 1  # an update an epoch
    assert n_segments % 4 == 0
    runs = [
        start("lead_distillation_demo", tmp_path / str(n), 3, plain, lr=0.1, dropout=0.0,
              batch_size=n_segments // n, update_freq=n)
        for n in (1, 4)
    ]  # fmt: skip
    states = []
    for run in runs:
        run.wait()
        states.append(run.checkpoint()["model"])
    assert not differing(*states, tolerance=1e-5)
    assert int(states[0]["teacher.last_update"]) == 2
    assert float(states[0]["centre.value"].abs().max()) > 1e-3


@pytest.mark.parametrize("demo", DEMOS)
def test_its_checkpoint_is_one_of_pretraining_whose_encoder_is_the_students(demo, unbroken):
    path = unbroken[demo].save_dir / "checkpoint_last.pt"
    checkpoint, saved = load_checkpoint(path), unbroken[demo].checkpoint()["model"]
    assert checkpoint.kind == "pretraining"
    own = {key.removeprefix("encoder."): value for key, value in saved.items() if key.startswith("encoder.")}
    assert not differing(checkpoint.encoder_state, own)
    embedded = ECGModel.load(path).embed(np.random.default_rng(0).normal(size=(1, 12, 2500)), fs=500)
    assert embedded.shape == (1, TINY["encoder_embed_dim"])
