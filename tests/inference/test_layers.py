"""Embeddings of a layer, and of the mix of layers that a model has learnt."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.commands import main as cli
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.embedder import ECGEmbedder


@pytest.fixture(scope="module")
def mixed(save_checkpoint, tmp_path_factory):
    """A classifier of two layers with a learnt mix, and its checkpoint."""
    path = tmp_path_factory.mktemp("mixed") / "c.pt"
    save_checkpoint(path, "classification", {"max_sample_size": 800}, layer_mix=True)
    raw = torch.load(path, weights_only=True)
    raw["model"]["encoder.encoder.layer_mix"] = torch.tensor([0.2, 0.3, 0.5]).log()
    torch.save(raw, path)
    return ECGModel.load(path, labels=["a", "b", "c"]), path


def segments(n=3):
    return np.random.default_rng(0).normal(size=(n, 12, 800)).astype(np.float32)


@pytest.mark.parametrize("kind", ["pretraining", "classification"])
def test_an_embedding_is_of_the_layer_asked_for_and_of_the_last_by_default(models, kind):
    model, source = models[kind], segments()
    with torch.no_grad():
        layers = [x.mean(dim=1).numpy() for x in model.network.encoder.each_layer(torch.from_numpy(source))]
    for number, expected in enumerate(layers):
        np.testing.assert_allclose(model.embed(source, fs=500, layer=number), expected, atol=1e-6)
    np.testing.assert_array_equal(model.embed(source, fs=500), model.embed(source, fs=500, layer=2))
    frames = model.embed(source, fs=500, layer=1, frames=True)
    np.testing.assert_allclose(np.stack(frames).mean(axis=1), layers[1], atol=1e-6)
    embedder = ECGEmbedder(model, fs=500, layer=1).fit(source)
    np.testing.assert_allclose(embedder.transform(source), layers[1], atol=1e-6)


def test_a_learnt_mix_is_the_default_and_layers_can_still_be_had(mixed, tmp_path):
    model, source = mixed[0], segments()
    layers = [model.embed(source, fs=500, layer=number) for number in range(3)]
    expected = 0.2 * layers[0] + 0.3 * layers[1] + 0.5 * layers[2]
    np.testing.assert_allclose(model.embed(source, fs=500), expected, atol=1e-6)
    np.testing.assert_array_equal(model.embed(source, fs=500, layer="mix"), model.embed(source, fs=500))
    logits = model.embed(source, fs=500) @ model.network.proj.weight.detach().numpy().T
    logits += model.network.proj.bias.detach().numpy()
    np.testing.assert_allclose(model.predict_proba(source, fs=500), 1 / (1 + np.exp(-logits)), atol=1e-6)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(ECGModel.load(tmp_path / "saved").embed(source, fs=500),
                                  model.embed(source, fs=500))  # fmt: skip


def test_a_learnt_mix_is_exported(mixed, tmp_path):
    model, source = mixed[0], segments()
    model.export(tmp_path / "m.pt2", check=False)
    embedding, probability = torch.export.load(str(tmp_path / "m.pt2")).module()(torch.from_numpy(source))
    np.testing.assert_allclose(embedding.detach(), model.embed(source, fs=500), atol=1e-5)
    np.testing.assert_allclose(probability.detach(), model.predict_proba(source, fs=500), atol=1e-5)


@pytest.mark.parametrize("layer", [-1, 3, "last", "mix"])
def test_a_layer_that_is_not_there_is_refused(encoder, layer):
    with pytest.raises(ConfigError, match=r"0 to 2.* or mix, but is|learnt no mix .* 0 to 2"):
        encoder.embed(segments(), fs=500, layer=layer)


def test_a_classifier_decides_by_its_own_layer(models):
    with pytest.raises(ConfigError, match="leave layer out"):
        next(models["classification"].stream(segments(), fs=500, outputs=["logit"], layer=1))


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_the_command_writes_and_resumes_by_layer(checkpoints, mixed, recording, tmp_path, capsys):
    path, out = checkpoints["pretraining"], tmp_path / "e.parquet"
    assert run("embed", path, recording.wfdb, "--out", out, "--layer", 1) == 0
    table = pq.read_table(out)
    expected = ECGModel.load(path).embed(recording.wfdb, layer=1)
    np.testing.assert_array_equal(table["embedding"].to_pylist()[0], expected)
    assert table.schema.metadata[b"layer"] == b"1"
    assert run("embed", path, recording.wfdb, "--out", out, "--layer=mix") == 1
    assert "ConfigError: layer is mix, but the model has learnt no mix" in capsys.readouterr().err
    assert run("embed", mixed[1], recording.wfdb, "--out", out, "--layer=mix") == 0
    np.testing.assert_array_equal(
        pq.read_table(out)["embedding"].to_pylist()[0], mixed[0].embed(recording.wfdb)
    )


def test_rows_of_one_layer_are_not_taken_for_those_of_another(encoder, recording, tmp_path):
    from fairseq_signals.inference.bulk import run_all
    from fairseq_signals.inference.listing import list_recordings

    recordings = list_recordings([str(recording.wfdb)])

    def start(layer):
        return run_all(
            encoder, recordings, tmp_path / "e.npy", ("embedding",), lambda done: done.embedding, layer=layer
        )

    start(1)
    with pytest.raises(ConfigError, match="with other options"):
        start(0)
    start(1).finish()
    start(None)
    with pytest.raises(ConfigError, match="with other options"):
        start(1)
