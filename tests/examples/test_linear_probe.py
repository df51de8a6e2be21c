"""The linear probe from manifests and a checkpoint to a table, and what its heads can tell."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import PooledEncoder


@pytest.fixture(scope="module")
def scripts(repo_dir):
    """`probe` and `heads` as modules."""
    folder = str(repo_dir / "examples" / "linear_probe")
    sys.path.insert(0, folder)
    yield {name: importlib.import_module(name) for name in ("heads", "probe")}
    sys.path.remove(folder)
    for name in ("heads", "probe"):
        del sys.modules[name]


@pytest.fixture(autouse=True)
def impatient(scripts, monkeypatch):
    monkeypatch.setattr(scripts["heads"], "PATIENCE_UPDATES", 20)
    monkeypatch.setattr(scripts["heads"], "MAX_UPDATES", 60)
    monkeypatch.setattr(scripts["heads"], "LEARNING_RATE", 0.02)


@pytest.fixture
def checkpoint(tiny, tmp_path):
    torch.manual_seed(0)
    state = PooledEncoder(ECGEncoder(EncoderConfig(**tiny))).state_dict()
    torch.save({"model": state, "cfg": {"model": tiny}}, tmp_path / "c.pt")
    return tmp_path / "c.pt"


def frames(n, seed, place):
    """Noise; in half of them one frame says so, in a channel that has a mean of zero in all."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2 == 0
    x = rng.normal(size=(n, 10, 8)).astype(np.float32) * 0.1
    for row in np.flatnonzero(labels):
        at = rng.integers(10)
        x[row, at, 0] += place
        x[row, at, 1] += 3
        x[row, (at + 5) % 10, 0] -= place
    return x, np.stack([labels, ~labels], axis=1)


@pytest.mark.parametrize("head", ["logistic", "attentive"])
def test_a_head_finds_a_class_that_its_features_tell(scripts, head):
    (train, y), (valid, v), (test, t) = (frames(n, seed, 0.0) for n, seed in ((120, 0), (40, 1), (40, 2)))
    if head == "logistic":
        train, valid, test = (x.mean(axis=1) for x in (train, valid, test))
    fitted = getattr(scripts["heads"], f"fit_{head}")(train, y, valid, v, 1)
    logits = fitted.logits(test)
    assert logits.shape == (40, 2)
    assert scripts["heads"].score(logits, t) > 0.95


def test_attention_is_the_same_for_the_same_seed(scripts):
    train, labels = frames(70, 0, 2.0)
    fit = scripts["heads"].fit_attentive
    first, again, other = (fit(train, labels, train, labels, seed).logits(train) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_classes_that_are_always_or_never_there_are_constant(scripts):
    features = np.random.default_rng(0).normal(size=(20, 3))
    labels = np.stack([np.ones(20, bool), np.zeros(20, bool), np.arange(20) % 2 == 0], axis=1)
    logits = scripts["heads"].Logistic(features, labels, 1.0).logits(features)
    assert (logits[:, 0] > 5).all()
    assert (logits[:, 1] < -5).all()
    assert len(set(logits[:, 2].tolist())) == 20


def test_probing_counts_like_evaluate_and_writes_its_results(scripts, corpus, checkpoint, tmp_path, capsys):
    arguments = [
        str(checkpoint),
        "--leads",
        "12,I+II",
        "--json",
        str(tmp_path / "results.json"),
        "--method",
        "m",
    ]
    main = scripts["probe"].main
    assert main([*arguments, "--manifest", str(corpus.classification)]) == 0
    assert main([*arguments, "--manifest", str(corpus.classification), "--heads", "logistic",
                 "--random-init", "--train-leads", "12"]) == 0  # fmt: skip
    shown = capsys.readouterr().out
    assert "m, attentive: classification of" in shown
    assert "macro AUROC" in shown
    rows = json.loads((tmp_path / "results.json").read_text())
    assert {row["method"] for row in rows} == {"m, logistic", "m, attentive"}
    assert {row["leads"] for row in rows} == {"12", "I+II"}
    assert all(row["value"] is None or 0 <= row["value"] <= 1 for row in rows if "auroc" in row["metric"])


@pytest.mark.parametrize(("train_leads", "n_heads"), [("same", 12), ("12", 1)])
def test_a_head_is_fitted_once_for_all_lead_sets_that_it_is_tested_on(
    scripts, corpus, checkpoint, monkeypatch, tmp_path, train_leads, n_heads
):
    fitted = []

    def fit(train, labels, valid, truth, seed):
        fitted.append(train)
        return SimpleNamespace(logits=lambda features: np.repeat(features[:, :1], labels.shape[1], axis=1))

    monkeypatch.setitem(scripts["probe"].HEADS, "logistic", fit)
    how = ["--heads=logistic", "--leads=1,each,random:1", "--pooling=mean_std", "--intervals=5",
           "--robustness=rate"]  # fmt: skip
    files = ["--manifest", str(corpus.classification), "--json", str(tmp_path / "r.json")]
    assert scripts["probe"].main([str(checkpoint), *how, *files, f"--train-leads={train_leads}"]) == 0
    assert len(fitted) == n_heads  # "1" is lead I; worse recordings are tested by heads trained on good ones
    rows = {row["leads"]: row for row in json.loads((tmp_path / "r.json").read_text())}
    assert rows["1"]["value"] == rows["I"]["value"] == rows["1@500Hz"]["value"]
    assert "1@62.5Hz" in rows
    assert {"low", "high"} <= set(rows["each mean"])
    assert "of" in rows["random:1 worst"]


def test_heads_are_trained_on_one_lead_set(scripts, corpus, checkpoint, capsys):
    arguments = [str(checkpoint), "--manifest", str(corpus.classification), "--train-leads=each"]
    assert scripts["probe"].main(arguments) == 1
    assert (
        "--train-leads each: heads are trained on one lead set, but these are 12" in capsys.readouterr().err
    )


def test_frames_are_pooled_as_mean_and_deviation(scripts, corpus, checkpoint):
    model, manifest = ECGModel.load(checkpoint), read_manifest(corpus.classification / "valid.tsv")
    frozen, lead_set = scripts["probe"].Frozen(model, 3, pooling="mean_std"), {"": tuple(range(12))}
    frames = np.float64(frozen.frames(manifest, lead_set))
    expected = np.concatenate([frames.mean(axis=1), frames.std(axis=1)], axis=1)
    np.testing.assert_allclose(frozen.pooled(manifest, lead_set)[0], expected, atol=3e-3)


def test_the_attentive_head_learns_which_layer_tells(scripts):
    (train, y), (valid, v) = (frames(n, seed, 2.0) for n, seed in ((120, 0), (40, 1)))
    noise = np.random.default_rng(3)
    train, valid = (
        np.stack([noise.normal(0, 0.5, x.shape), x, noise.normal(0, 0.5, x.shape)], axis=1).astype(np.float32)
        for x in (train, valid)
    )
    fitted = scripts["heads"].fit_attentive(train, y, valid, v, 1)
    assert scripts["heads"].score(fitted.logits(valid), v) > 0.95
    assert int(fitted.mix.argmax()) == 1


def test_the_mix_of_all_layers_is_probed_by_the_attentive_head_alone(scripts, corpus, checkpoint, capsys):
    arguments = [str(checkpoint), "--manifest", str(corpus.classification), "--leads=12", "--layer=mix"]
    assert scripts["probe"].main(arguments) == 0
    shown = capsys.readouterr().out
    assert "c, attentive: classification of" in shown
    assert "logistic" not in shown


def test_layers_are_probed_as_the_encoder_gives_them(scripts, corpus, checkpoint):
    probe = scripts["probe"]
    model, manifest = ECGModel.load(checkpoint), read_manifest(corpus.classification / "valid.tsv")
    frozen = probe.Frozen(model, 3, "mix")
    stored = frozen.frames(manifest, {"": tuple(range(12))})
    assert stored.shape[:2] == (len(manifest), model.network.encoder.cfg.encoder_layers + 1)
    for layer in range(stored.shape[1]):
        pooled = probe.Frozen(model, 3, layer).pooled(manifest, {"": tuple(range(12))})[0]
        np.testing.assert_allclose(stored[:, layer].mean(axis=1), pooled, atol=2e-3)


@pytest.mark.parametrize(
    "options", [["--layer=9"], ["--layer=first"], ["--layer=mix", "--heads=logistic"], ["--layer=mix"]]
)
def test_a_layer_that_cannot_be_probed_is_told(scripts, corpus, checkpoint, capsys, options):
    manifests = corpus.identification if options == ["--layer=mix"] else corpus.classification
    assert scripts["probe"].main([str(checkpoint), "--manifest", str(manifests), *options]) == 1
    assert "ConfigError: " in capsys.readouterr().err


def test_identification_needs_no_training(scripts, corpus, checkpoint, capsys):
    assert (
        scripts["probe"].main([str(checkpoint), "--manifest", str(corpus.identification), "--leads", "12"])
        == 0
    )
    assert "c, frozen: identification of" in capsys.readouterr().out


def test_a_mistake_is_told_without_a_traceback(scripts, checkpoint, tmp_path, capsys):
    assert scripts["probe"].main([str(checkpoint), "--manifest", str(tmp_path)]) == 1
    assert "LabelError" in capsys.readouterr().err
