"""Rows of all kinds give the same features; what cannot be a row is refused with what is expected."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.benchmark.encoders import (
    ModelEncoder,
    ObjectEncoder,
    OnnxEncoder,
    load_encoder,
    random_like,
)
from fairseq_signals.benchmark.features import Features
from fairseq_signals.benchmark.protocols import FrozenTask, evaluate_frozen
from fairseq_signals.errors import CheckpointError, ConfigError, LeadError
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.modules.heads import PooledEncoder

SETS = parse_lead_sets(["12,1"])
PRESENT = torch.ones(2, 12, dtype=torch.bool)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    model.export(path, frames=True, check=False)
    return path


@pytest.fixture
def write_onnx(tmp_path):
    """`write_onnx(shape, outputs, inputs)`: a file that gives the mean over samples of each lead."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    def write(shape=("n", 12, "t"), rank: int = 2, inputs: int = 1) -> Path:
        names = [f"x{i}" for i in range(inputs)]
        axes = helper.make_tensor("axes", TensorProto.INT64, [1], [2])
        node = helper.make_node("ReduceMean", [names[0], "axes"], ["y"], keepdims=int(rank == 3))
        graph = helper.make_graph(
            [node],
            "mean",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 12, 1][:rank])],
            [axes],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.save(model, tmp_path / "mean.onnx")
        return tmp_path / "mean.onnx"

    return write


class Wrapped:
    """A model as somebody else's object."""

    def __init__(self, model: ECGModel):
        self.model = model

    def embed(self, x, fs, leads, frames=False):
        return torch.from_numpy(self.model.embed(x, fs, leads, frames=frames))


@pytest.fixture(scope="module")
def kinds(model, exported, tmp_path_factory):
    """The same encoder as a saved folder, an ONNX file and an object."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    model.save(folder)
    return {
        "saved": load_encoder(folder),
        "onnx": load_encoder(exported),
        "object": ObjectEncoder(Wrapped(model), "w"),
    }


def test_a_saved_folder_its_export_and_an_object_give_the_same_figures(kinds, corpus):
    protocols = ["linear", "once"]
    task = FrozenTask("age", corpus.regression, SETS, protocols)
    found = {
        name: {key: of.arrays["predicted"] for key, of in evaluate_frozen(Features(encoder), task, "test", 1)}
        for name, encoder in kinds.items()
    }
    for name in ("onnx", "object"):
        for protocol in protocols:
            expected = found["saved"][f"{protocol}-100"]
            np.testing.assert_allclose(found[name][f"{protocol}-100"], expected, rtol=1e-3, atol=0.02)


def test_frames_are_the_same_too(kinds, corpus):
    manifest = read_manifest(corpus.regression / "valid.tsv")
    found = []
    for encoder in kinds.values():
        features = Features(encoder, 5)
        assert features.without_frames(manifest) == ""
        found.append(np.float32(features.frames(manifest, SETS["1"])))
    assert found[0].shape[:1] == (len(manifest),)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=5e-3)


@pytest.mark.parametrize("kind", ["saved", "onnx", "object"])
def test_recordings_of_another_rate_are_resampled(model, kinds, kind):
    encoder = ObjectEncoder(Wrapped(model), "w", 500.0) if kind == "object" else kinds[kind]
    time = np.arange(2500) / 500
    source = np.sin(2 * np.pi * np.linspace(1, 9, 12)[:, None] * time).astype(np.float32)[None]
    half = torch.from_numpy(source[..., ::2].copy())
    with torch.inference_mode():
        expected = encoder.features(torch.from_numpy(source), PRESENT[:1], 500.0)
        at_half = encoder.features(half, PRESENT[:1], 250.0)
    assert float((at_half - expected).abs().max()) < 0.1 * float(expected.std())


def test_features_are_statistics_of_the_layers_that_are_named(model, ecg_batch):
    source = ecg_batch(2, 2500)
    layers = [model.network.encoder(source, layer=layer).x for layer in (0, 2)]
    expected = torch.cat([layers[0].mean(dim=1), layers[1].std(dim=1, unbiased=False)], dim=1)
    with torch.no_grad():
        found = ModelEncoder(model, ["mean:0", "std:-1"]).features(source, PRESENT, 500.0)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match=r"statistics of layers.*but is median:9"):
        ModelEncoder(model, ["median:9"])


def test_random_weights_are_those_of_the_seed(model, tmp_path, ecg_batch):
    one, same, other = (random_like(model, seed) for seed in (1, 1, 2))
    source = ecg_batch(1, 500)
    values = [each.network.pooled(source) for each in (one, same, other, model)]
    torch.testing.assert_close(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    assert not torch.equal(values[0], values[3])
    with pytest.raises(
        ConfigError, match="random weights can be had of a checkpoint or a saved folder alone"
    ):
        load_encoder("sys:path", random_init=1)


def test_a_foreign_onnx_file_is_given_windows_of_its_length(write_onnx):
    encoder = OnnxEncoder(write_onnx((1, 12, 400)), 100.0)
    source = torch.randn(2, 12, 1000, generator=torch.Generator().manual_seed(0))
    expected = (
        0.4 * source[..., :400].mean(-1)
        + 0.4 * source[..., 400:800].mean(-1)
        + 0.2 * source[..., 600:].mean(-1)
    )
    torch.testing.assert_close(
        encoder.features(source, PRESENT, 100.0).float(), expected, atol=1e-6, rtol=1e-4
    )
    short = encoder.features(source[..., :100], PRESENT, 100.0).float()
    torch.testing.assert_close(short, source[..., :100].sum(-1) / 400, atol=1e-6, rtol=1e-4)
    assert "has no output `frames`" in encoder.without_frames(400, 100.0)
    free = OnnxEncoder(write_onnx(), 100.0)
    torch.testing.assert_close(
        free.features(source, PRESENT, 100.0).float(), source.mean(-1), atol=1e-6, rtol=1e-4
    )


def test_an_onnx_file_says_why_it_has_no_frames_of_segments(exported):
    encoder = OnnxEncoder(exported)
    assert encoder.without_frames(2500, 500.0) == encoder.without_frames(500, 100.0) == ""
    assert "takes 2500 samples, but segments have 5000 at its rate" in encoder.without_frames(5000, 500.0)


@pytest.mark.parametrize(
    ("options", "fs", "error", "message"),
    [
        ({}, None, ConfigError, r"does not say its sampling rate"),
        ({"inputs": 2}, 100.0, CheckpointError, r"has the inputs x0 .*, x1 .*; expected is one input"),
        ({"shape": ("n", 8, "t")}, 100.0, CheckpointError, r"its input is \('n', 8, 't'\); expected is"),
        ({"rank": 3}, 100.0, CheckpointError, r"has the outputs y of 3 axes; expected is one input"),
    ],
)
def test_a_foreign_onnx_file_must_be_as_expected(write_onnx, options, fs, error, message):
    with pytest.raises(error, match=message):
        load_encoder(write_onnx(**options), fs=fs)


def test_what_is_no_onnx_file_is_told(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_encoder(tmp_path / "a.onnx", fs=100)
    (tmp_path / "a.onnx").write_text("no")
    with pytest.raises(CheckpointError, match="not an ONNX file that can be run"):
        load_encoder(tmp_path / "a.onnx", fs=100)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `things_of_mine` in the working folder."""
    (tmp_path / "things_of_mine.py").write_text(
        "class Good:\n    def embed(self, x, fs, leads):\n        return x.mean(axis=1)[:1]\n"
        "class Needy(Good):\n    def __init__(self, weights):\n        pass\n"
        "made, number, weights = Needy(1), 5, None\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("things_of_mine", None)


@pytest.mark.parametrize("name", ["Good", "made"])
def test_an_object_is_an_instance_or_a_class_without_arguments(module, name):
    encoder = load_encoder(f"things_of_mine:{name}")
    assert encoder.features(torch.ones(2, 12, 10), PRESENT, 100.0).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("things_of_mine:Needy", "must be made without arguments, but this takes weights"),
        ("things_of_mine:number", r"is int, which has no method embed\(x, fs, leads\)"),
        ("things_of_mine:god", "things_of_mine has no god; did you mean Good"),
        (
            "things_of_yours:Good",
            "neither a file or folder, nor module:attribute: there is no module things_of_yours",
        ),
    ],
)
def test_what_is_no_encoder_is_told(module, name, message):
    with pytest.raises(ConfigError, match=message):
        load_encoder(name)


class Gives:
    def __init__(self, *values):
        self.values = list(values)

    def embed(self, x, fs, leads):
        return self.values.pop(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.zeros((1, 3))], r"must give \(D,\) numbers, but gave float64 \(1, 3\) for \(12, 10\) at 100 Hz"),
        ([["a"]], r"but gave <U1 \(1,\)"),
        ([[]], r"but gave float64 \(0,\)"),
        ([None], r"but gave object \(\)"),
        ([[1.0, 2.0], [1.0]], "as many numbers for every recording and lead set, but gave 2, then 1"),
    ],
)
def test_an_embedding_that_is_none_is_told(values, message):
    with pytest.raises(ConfigError, match=message):
        ObjectEncoder(Gives(*values), "it").features(torch.ones(2, 12, 10), PRESENT, 100.0)


def test_a_recording_without_any_lead_of_the_set_is_told():
    with pytest.raises(LeadError, match="it: a recording has none of the leads"):
        ObjectEncoder(Gives(1), "it").features(torch.ones(2, 12, 10), ~PRESENT, 100.0)


def test_a_representation_of_statistics_is_taken_as_the_model_has_it(model, ecg_batch):
    network = PooledEncoder(model.network.encoder, pooling=["mean:1", "std:2"])
    network.statistics.mean.fill_(0.5)
    source = ecg_batch(2, 2500)
    found = ModelEncoder(ECGModel(network, "pretraining", model.form)).features(source, PRESENT, 500.0)
    torch.testing.assert_close(found, network.pooled(source))
