"""Every method from its demo configuration: it learns, and both downstream tasks take its checkpoint.

A method trains for 30 updates on all 14 training records at once (`fairseq-hydra-train`, a tiny encoder, 2 s
of each segment), so that its losses differ by what it has learnt and by its transforms, not by what is in a
batch.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from fairseq_signals.checkpoints.loading import load_model

METHODS = {
    "w2v": "w2v",
    "cmsc": "cmsc",
    "cmlc": "clocs",
    "cmsmlc": "clocs",
    "3kg": "3kg",
    "simclr_rlm": "simclr",
    "crlc": "crlc",
    "w2v_cmsc": "w2v_cmsc",
}
UPDATES = 30
ENCODER = {
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(16, 2, 2)] * 4",
    "conv_pos": 8,
    "conv_pos_groups": 2,
    "feature_grad_mult": 1.0,
}
QUANTIZER = {"latent_vars": 8, "final_dim": 8, "num_negatives": 5}
each_method = pytest.mark.parametrize("method", list(METHODS))


def tiny(demo: Path) -> dict:
    """A demo configuration with a tiny encoder and one batch an epoch."""
    config = yaml.safe_load(demo.read_text(encoding="utf-8"))
    config["model"].update(ENCODER)
    if "num_negatives" in config["model"]:
        config["model"].update(QUANTIZER)
    config["task"]["max_sample_size"] = 1000
    config["dataset"]["batch_size"] = 64
    config["optimization"].update(max_update=UPDATES, lr=[0.01])
    config["lr_scheduler"].update(warmup_updates=0, total_num_update=1000)
    return config


@pytest.fixture(scope="module")
def pretrain(start_training, corpus, repo_dir, tmp_path_factory):
    """`pretrain(method)`: its training losses, and its checkpoint; each method trains once."""
    done = {}

    def train(method: str) -> SimpleNamespace:
        if method not in done:
            folder = tmp_path_factory.mktemp(method)
            demo = repo_dir / "examples" / METHODS[method] / "config/pretraining" / f"{method}_demo.yaml"
            config = folder / "tiny.yaml"
            config.write_text(yaml.safe_dump(tiny(demo)), encoding="utf-8")
            output = start_training(config, corpus.pretrain, folder / "run").wait()
            losses = [float(loss) for loss in re.findall(r" loss=([\d.naif]+)", output)]
            done[method] = SimpleNamespace(
                losses=losses, output=output, path=folder / "run" / "checkpoint_last.pt"
            )
        return done[method]

    return train


@each_method
def test_the_loss_of_a_method_falls(method, pretrain):
    losses = pretrain(method).losses
    assert len(losses) == UPDATES
    assert all(map(math.isfinite, losses))
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5]), losses  # 0.52 to 0.87 were measured


@pytest.mark.parametrize("method", ["cmlc", "3kg", "simclr_rlm", "crlc"])
def test_a_contrast_logs_its_positive_pairs_and_an_accuracy_that_rises(method, pretrain):
    output = pretrain(method).output
    # 14 pairs of segments of 7 patients: four leads each; all four views of two recordings; two views each
    pairs = {
        "cmlc": 2 * 6 * (7 * 2 * 2),  # both segments, pairs of leads, patients x recordings x recordings
        "3kg": 7 * 8 * 7 // 2,
        "simclr_rlm": 28,
        "crlc": 28,
    }
    assert set(re.findall(r"positive_pairs=([\d.]+)", output)) == {str(pairs[method])}
    accuracy = [float(share) for share in re.findall(r"accuracy=([\d.]+)", output)]
    assert len(accuracy) == UPDATES
    assert 0 <= sum(accuracy[:5]) < sum(accuracy[-5:]) <= 5


@each_method
@pytest.mark.parametrize("task", ["classification", "identification"])
def test_the_checkpoint_of_a_method_fine_tunes(method, task, pretrain, start_training, corpus, tmp_path):
    path = pretrain(method).path
    run = start_training(
        task,
        getattr(corpus, task),
        tmp_path / "run",
        f"model.model_path={path}",
        "dataset.batch_size=8",
        "dataset.disable_validation=true",
        "optimization.max_update=2",
    )
    output = run.wait()
    loaded = re.search(r"encoder: loaded (\d+) parameters from \S+; missing: (.*); unused: (.*)", output)
    assert loaded, output[-2000:]
    before = torch.load(path, map_location="cpu", weights_only=True)["model"]
    unused = {key for key in before if not key.startswith("encoder.") or key == "encoder.mask_emb"}
    assert int(loaded[1]) == len(before) - len(unused)
    assert loaded[2] == "none"
    assert loaded[3] == (", ".join(sorted(unused)) or "none")
    losses = re.findall(r" loss=([\d.]+)", output)
    assert len(losses) == 2
    assert all(0 < float(loss) < math.inf for loss in losses)
    model, _ = load_model(run.save_dir / "checkpoint_last.pt")
    assert bool(model(torch.zeros(2, 12, 2500)).isfinite().all())
