"""Fine-tuning of few parameters as shipped: from `fairseq-hydra-train` to ECGModel and ONNX."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fairseq_signals import ECGModel

CONFIGS = ("lora", "linear_probe", "layer_mix", "layerwise")


@pytest.fixture(scope="module")
def finetuning(repo_dir) -> Path:
    return repo_dir / "examples/w2v_cmsc/config/finetuning"


@pytest.fixture(scope="module")
def start(start_training, finetuning, corpus, pretrained, tmp_path_factory):
    """`start(config, save_dir, updates)`: a fine-tuning of the tiny checkpoint, as shipped."""

    def train(config: str, save_dir: Path, updates: int):
        file = finetuning / f"{config}.yaml"
        if config == "layerwise":  # the checkpoint has but one layer
            lines = file.read_text().splitlines()
            file = tmp_path_factory.mktemp(config) / "of_one_layer.yaml"
            file.write_text("\n".join(line for line in lines if not re.match(r" +layer_(?!1:)", line)))
        options = ("dataset.batch_size=4", "common.cpu=true", "dataset.disable_validation=true")
        model = (f"model.model_path={pretrained}", f"optimization.max_update={updates}")
        return start_training(file, corpus.classification, save_dir, *options, *model)

    return train


@pytest.fixture(scope="module")
def fine_tune(start, tmp_path_factory):
    """`fine_tune(config)`: a training of four updates; each configuration trains once."""
    done = {}

    def train(config: str):
        if config not in done:
            done[config] = start(config, tmp_path_factory.mktemp(config), 4)
            done[config].wait()
        return done[config]

    return train


@pytest.fixture(scope="module")
def pretrained_state(pretrained) -> dict:
    return torch.load(pretrained, map_location="cpu", weights_only=True)["model"]


def batch(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, 12, 2500)).astype(np.float32)


@pytest.mark.parametrize("config", ["lora", "layerwise"])
def test_a_resumed_training_ends_as_an_unbroken_one_bit_for_bit(config, start, fine_tune, tmp_path):
    start(config, tmp_path, 2).wait()
    resumed = start(config, tmp_path, 4)
    assert "@ 2 updates)" in resumed.wait()
    whole, resumed = (run.checkpoint() for run in (fine_tune(config), resumed))
    assert whole["model"].keys() == resumed["model"].keys()
    assert all(torch.equal(value, resumed["model"][key]) for key, value in whole["model"].items())
    assert whole["optimizer_history"][-1]["num_updates"] == 4


@pytest.mark.parametrize("config", ["lora", "linear_probe", "layer_mix"])
def test_what_is_frozen_stays_as_pretrained_bit_for_bit(config, fine_tune, pretrained_state):
    tuned = fine_tune(config).checkpoint()["model"]
    kept = {key for key in pretrained_state.keys() & tuned.keys() if key.startswith("encoder.")}
    added = tuned.keys() - kept
    assert len(kept) > 30
    assert all(torch.equal(tuned[key], pretrained_state[key]) for key in kept)
    trained = {
        "lora": {f"layers.0.self_attn.{name}_proj.lora_{part}" for name in "qv" for part in "ab"},
        "linear_probe": set(),
        "layer_mix": {"layer_mix"},
    }
    assert added == {"proj.weight", "proj.bias", *(f"encoder.encoder.{name}" for name in trained[config])}
    assert all(bool(tuned[key].all()) for key in added)  # of which some were zero at first


@pytest.mark.parametrize("config", CONFIGS)
def test_the_trained_model_is_the_same_in_fairseq_in_ecgmodel_and_in_a_saved_folder(
    config, fine_tune, tmp_path
):
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    path = shutil.copy(fine_tune(config).save_dir / "checkpoint_last.pt", tmp_path)
    (trained,), _, _ = load_model_ensemble_and_task([path], {"model_path": "/nowhere/pretrained.pt"})
    with torch.no_grad():
        expected = torch.sigmoid(trained.eval()(torch.from_numpy(batch()))).numpy()
    model = ECGModel.load(path)
    np.testing.assert_allclose(model.predict_proba(batch(), fs=500), expected, atol=1e-6)
    assert not [name for name, _ in model.network.named_parameters() if "lora" in name]
    model.save(tmp_path / "saved")
    again = ECGModel.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(batch(), fs=500), model.predict_proba(batch(), fs=500))


@pytest.mark.parametrize("config", ["lora", "layer_mix"])
def test_the_trained_model_exports_to_onnx(config, fine_tune, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = ECGModel.load(fine_tune(config).save_dir / "checkpoint_last.pt")
    model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    embedding, probability = session.run(None, {"source": batch()})
    np.testing.assert_allclose(embedding, model.embed(batch(), fs=500), atol=1e-5)
    np.testing.assert_allclose(probability, model.predict_proba(batch(), fs=500), atol=1e-5)


def test_every_layer_has_its_learning_rate_and_no_parameter_is_without(fine_tune):
    checkpoint = fine_tune("layerwise").checkpoint()
    optimizers = {name: state["param_groups"] for name, state in checkpoint["last_optimizer_state"].items()}
    rates = {name: group["lr"] for name, (group,) in optimizers.items()}
    assert rates == pytest.approx(
        {"front_end": 2e-4 * 0.75**13, "layer_1": 2e-4 * 0.75**12, "head": 2e-4}, rel=0.01
    )
    sizes = {name: len(group["params"]) for name, (group,) in optimizers.items()}
    assert sizes == {
        "head": 2,
        "layer_1": 16,
        "front_end": len(checkpoint["model"]) - 2 - 16,
    }
    states = {name: state["state"] for name, state in checkpoint["last_optimizer_state"].items()}
    assert len(states["layer_1"]) == 16


def test_the_shipped_rates_fall_by_a_quarter_from_layer_to_layer(finetuning):
    config = yaml.safe_load((finetuning / "layerwise.yaml").read_text())
    groups = config["optimizer"]["groups"]
    assert list(groups) == ["front_end", *(f"layer_{i}" for i in range(1, 13)), "head"]
    rates = np.array([float(group["lr_float"]) for group in groups.values()])
    np.testing.assert_allclose(rates[:-1] / rates[1:], 0.75, rtol=0.01)
    same = {str({**group, "lr_float": 0}) for group in groups.values()}
    assert len(same) == 1
