"""Masked, predictive and joint-embedding pre-training: every demo configuration, from fairseq to both tasks.

A method trains for four updates on all training segments at once (`fairseq-hydra-train`, a tiny encoder, 2 s
of each segment), and is validated after two of them and in the end.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_model
from fairseq_signals.commands.main import main

FOLDERS = ("mae", "jepa", "cpc", "hubert", "heartlang", "joint_embedding", "adversarial_mask")
DEMOS = {
    file.stem.removesuffix("_demo"): file
    for folder in FOLDERS
    for file in sorted(
        (Path(__file__).parents[1] / "examples" / folder / "config/pretraining").glob("*_demo.yaml")
    )
}
#: What a criterion logs of training and of validation, in addition to the loss.
LOGGED = {
    "masked_reconstruction": {"reconstruction_loss", "zero_loss"},
    "latent_prediction": {"prediction_loss", "constant_loss", "target_std"},
    "cpc": {"accuracy", "chance_loss"},
    "masked_cluster_prediction": {"cluster_loss", "label_entropy", "accuracy"},
    "masked_sentence": {"trivial_loss", "code_entropy"},
    "smd": {"global_loss", "component_loss"},
    "simdino": {"distance_loss", "coding_rate", "frames_loss"},
    **{name: {"accuracy", "positive_pairs"} for name in ("3kg", "clocs", "simclr")},
    **{name: {"spread"} for name in ("byol", "moco_v3", "swav", "vicreg")},
}
#: One of each model and front end: these resume, embed and fine-tune.
CHOSEN = ("mtae", "st_mem", "jepa_weimann", "jepa_kim", "s4_jepa", "ecg_cpc", "hubert_online", "byol")
CHOSEN += ("heartlang",)
UPDATES = 4
N_SAMPLES = 1000
SMALL = {
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_pos": 8,
    "conv_pos_groups": 2,
    "decoder_dim": 16,
    "decoder_layers": 1,
    "predictor_dim": 16,
    "predictor_layers": 1,
    "final_dim": 8,
    "projection_hidden": 16,
    "predictor_hidden": 16,
    "prototypes": 8,
    "num_clusters": 8,
    "codes": 8,
    "code_dim": 8,
    "num_negatives": 8,
}
each_demo = pytest.mark.parametrize("method", list(DEMOS))
each_chosen = pytest.mark.parametrize("method", CHOSEN)


def tiny(demo: Path) -> dict:
    """A demo configuration with a tiny encoder and one batch an epoch, validated every other update."""
    config = yaml.safe_load(demo.read_text(encoding="utf-8"))
    task, model = config["task"], config["model"]
    model.update({key: value for key, value in SMALL.items() if key in model})
    if "conv_feature_layers" in model and "patch_stem" not in model:
        s4 = model.get("context") == "s4"
        model["conv_feature_layers"] = "[(16, 4, 4)] + [(16, 1, 1)] * 3" if s4 else "[(16, 2, 2)] * 4"
    if model.get("frontend") == "lead":
        model["patch_samples"] = N_SAMPLES
    task["max_sample_size"] = N_SAMPLES
    if "local_samples" in task:
        task["local_samples"] = N_SAMPLES // 2
    config["dataset"].update(batch_size=64, disable_validation=False, validate_interval=2)
    config["checkpoint"].update(save_interval=2, no_epoch_checkpoints=False)
    config["optimization"]["max_update"] = UPDATES
    config["lr_scheduler"].update(warmup_updates=0)
    return config


@pytest.fixture(scope="module")
def clusters(corpus, tmp_path_factory) -> Path:
    """Clusters of the samples in frames, of `fairseq-signals clusters`."""
    path = tmp_path_factory.mktemp("clusters") / "first.npz"
    arguments = ("--out", str(path), "--clusters=8", "--frames=2000")
    assert main(["clusters", str(corpus.pretrain / "train.tsv"), *arguments]) == 0
    return path


@pytest.fixture(scope="module")
def pretrain(start_training, corpus, clusters, tmp_path_factory):
    """`pretrain(method)`: what a method logs, and its run; each trains once."""
    done = {}

    def train(method: str) -> SimpleNamespace:
        if method not in done:
            folder = tmp_path_factory.mktemp(method)
            config = tiny(DEMOS[method])
            if "clusters" in config["model"]:
                config["model"]["clusters"] = str(clusters)
            if "tokenizer" in config["model"]:
                config["model"]["tokenizer"] = str(train("heartlang_tokenizer").path)
            file = folder / "tiny.yaml"
            file.write_text(yaml.safe_dump(config), encoding="utf-8")
            run = start_training(file, corpus.pretrain, folder / "run")
            output = run.wait()
            done[method] = SimpleNamespace(
                file=file, run=run, output=output, config=config, path=run.save_dir / "checkpoint_last.pt"
            )
        return done[method]

    return train


def numbers(pattern: str, text: str) -> list:
    return [float(found) for found in re.findall(pattern, text)]


@each_demo
def test_a_demo_trains_and_validates_with_finite_losses_and_logs_what_its_criterion_tells(method, pretrain):
    found = pretrain(method)
    keys = LOGGED[found.config["criterion"]["_name"]]
    for key in ("loss", *keys):
        told = numbers(rf" {key}=(\S+?),? ", found.output)
        assert len(told) == UPDATES, key
        assert all(map(math.isfinite, told)), (key, told)
    validated = re.findall(r"valid on 'valid' subset \| (.*)", found.output)
    assert len(validated) == 2
    for line in validated:
        columns = dict(column.split(" ") for column in line.split(" | "))
        assert keys | {"loss"} <= columns.keys()
        assert all(math.isfinite(float(columns[key])) for key in keys | {"loss"})


@each_chosen
def test_a_run_that_was_broken_off_ends_as_an_unbroken_one_bit_for_bit(
    method, pretrain, start_training, corpus, tmp_path
):
    unbroken = pretrain(method)
    half = unbroken.run.save_dir / "checkpoint2.pt"
    resumed = start_training(
        unbroken.file, corpus.pretrain, tmp_path / "run", f"checkpoint.restore_file={half}"
    )
    assert "@ 2 updates)" in resumed.wait()
    found, expected = (run.checkpoint()["model"] for run in (resumed, unbroken.run))
    assert found.keys() == expected.keys()
    assert not [key for key in found if not torch.equal(found[key], expected[key])]
    before = torch.load(half, weights_only=True)["model"]
    for part in ("encoder.", "teacher.encoder.", "clusters."):  # all that there is has moved on
        keys = [key for key in found if key.startswith(part)]
        assert not keys or any(not torch.equal(found[key], before[key]) for key in keys), part
    if "teacher.last_update" in found:
        assert int(found["teacher.last_update"]) == UPDATES - 1  # it follows before the update after it


@each_chosen
def test_its_checkpoint_embeds_recordings_of_any_leads(method, pretrain):
    model = ECGModel.load(pretrain(method).path)
    x = np.random.default_rng(0).normal(size=(3, 12, N_SAMPLES))
    whole = model.embed(x, fs=500)
    assert whole.shape == (3, SMALL["encoder_embed_dim"])
    assert whole.std(axis=0).min() > 0
    alone = model.embed(x[:, [0, 7]], fs=500, leads=["I", "V2"])
    assert alone.shape == whole.shape
    assert not np.allclose(alone, whole, atol=1e-3)
    assert np.array_equal(alone, model.embed(x[:, [7, 0]], fs=500, leads=["V2", "I"]))


@each_chosen
@pytest.mark.parametrize("task", ["classification", "identification"])
def test_its_checkpoint_fine_tunes(method, task, pretrain, start_training, corpus, tmp_path):
    path = pretrain(method).path
    run = start_training(
        task,
        getattr(corpus, task),
        tmp_path / "run",
        f"model.model_path={path}",
        f"+task.max_sample_size={N_SAMPLES}",
        "dataset.batch_size=8",
        "dataset.disable_validation=true",
        "optimization.max_update=2",
    )
    output = run.wait()
    loaded = re.search(r"encoder: loaded (\d+) parameters from \S+; missing: (.*); unused: (.*)", output)
    assert loaded, output[-2000:]
    before = torch.load(path, weights_only=True)["model"]
    unused = {key for key in before if not key.startswith("encoder.") or key == "encoder.mask_emb"}
    assert int(loaded[1]) == len(before) - len(unused)
    assert loaded[2] == "none"
    losses = numbers(r" loss=([\d.]+)", output)
    assert len(losses) == 2
    assert all(0 < loss < math.inf for loss in losses)
    model, _ = load_model(run.save_dir / "checkpoint_last.pt")
    assert bool(model(torch.randn(2, 12, 2500)).isfinite().all())


def test_clusters_of_a_trained_layer_are_what_the_next_iteration_tells(
    pretrain, start_training, corpus, tmp_path
):
    first = pretrain("hubert")
    file = tmp_path / "second.npz"
    arguments = ("--model", str(first.path), "--layer=1", "--out", str(file), "--clusters=8", "--frames=2000")
    assert main(["clusters", str(corpus.pretrain / "train.tsv"), *arguments]) == 0
    run = start_training(first.file, corpus.pretrain, tmp_path / "run", f"model.clusters={file}")
    losses = numbers(r" cluster_loss=(\S+?),", run.wait())
    assert len(losses) == UPDATES
    assert all(map(math.isfinite, losses))
    assert losses != numbers(r" cluster_loss=(\S+?),", first.output)
    assert ECGModel.load(run.save_dir / "checkpoint_last.pt").dim == SMALL["encoder_embed_dim"]
