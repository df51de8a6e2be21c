"""The linear probe from manifests and a checkpoint to a table."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.benchmark import heads
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import PooledEncoder


@pytest.fixture(scope="module")
def probe(repo_dir):
    """`probe.py` as a module."""
    folder = str(repo_dir / "examples" / "linear_probe")
    sys.path.insert(0, folder)
    yield importlib.import_module("probe")
    sys.path.remove(folder)
    del sys.modules["probe"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(heads, "PATIENCE_UPDATES", 20)
    monkeypatch.setattr(heads, "MAX_UPDATES", 60)


@pytest.fixture
def checkpoint(tiny, tmp_path):
    torch.manual_seed(0)
    state = PooledEncoder(ECGEncoder(EncoderConfig(**tiny))).state_dict()
    torch.save({"model": state, "cfg": {"model": tiny}}, tmp_path / "c.pt")
    return tmp_path / "c.pt"


def test_probing_counts_like_evaluate_and_writes_its_results(probe, corpus, checkpoint, tmp_path, capsys):
    arguments = [
        str(checkpoint),
        "--leads",
        "12,I+II",
        "--json",
        str(tmp_path / "results.json"),
        "--method",
        "m",
    ]
    main = probe.main
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
    probe, corpus, checkpoint, monkeypatch, tmp_path, train_leads, n_heads
):
    fitted = []

    def fit(train, labels, valid, truth, seed):
        fitted.append(train)
        return SimpleNamespace(outputs=lambda features: np.repeat(features[:, :1], labels.shape[1], axis=1))

    monkeypatch.setitem(probe.HEADS, "logistic", fit)
    how = ["--heads=logistic", "--leads=1,each,random:1", "--pooling=mean_std", "--intervals=5",
           "--robustness=rate"]  # fmt: skip
    files = ["--manifest", str(corpus.classification), "--json", str(tmp_path / "r.json")]
    assert probe.main([str(checkpoint), *how, *files, f"--train-leads={train_leads}"]) == 0
    assert len(fitted) == n_heads  # "1" is lead I; worse recordings are tested by heads trained on good ones
    rows = {row["leads"]: row for row in json.loads((tmp_path / "r.json").read_text())}
    assert rows["1"]["value"] == rows["I"]["value"] == rows["1@500Hz"]["value"]
    assert "1@62.5Hz" in rows
    assert {"low", "high"} <= set(rows["each mean"])
    assert "of" in rows["random:1 worst"]


def test_heads_are_trained_on_one_lead_set(probe, corpus, checkpoint, capsys):
    arguments = [str(checkpoint), "--manifest", str(corpus.classification), "--train-leads=each"]
    assert probe.main(arguments) == 1
    assert (
        "--train-leads each: heads are trained on one lead set, but these are 12" in capsys.readouterr().err
    )


def test_frames_are_pooled_as_mean_and_deviation(probe, corpus, checkpoint):
    model, manifest = ECGModel.load(checkpoint), read_manifest(corpus.classification / "valid.tsv")
    frozen, lead_set = probe.Frozen(model, 3, pooling="mean_std"), {"": tuple(range(12))}
    frames = np.float64(frozen.frames(manifest, lead_set))
    expected = np.concatenate([frames.mean(axis=1), frames.std(axis=1)], axis=1)
    np.testing.assert_allclose(frozen.pooled(manifest, lead_set)[0], expected, atol=3e-3)


def test_the_mix_of_all_layers_is_probed_by_the_attentive_head_alone(probe, corpus, checkpoint, capsys):
    arguments = [str(checkpoint), "--manifest", str(corpus.classification), "--leads=12", "--layer=mix"]
    assert probe.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "c, attentive: classification of" in shown
    assert "logistic" not in shown


def test_layers_are_probed_as_the_encoder_gives_them(probe, corpus, checkpoint):
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
def test_a_layer_that_cannot_be_probed_is_told(probe, corpus, checkpoint, capsys, options):
    manifests = corpus.identification if options == ["--layer=mix"] else corpus.classification
    assert probe.main([str(checkpoint), "--manifest", str(manifests), *options]) == 1
    assert "ConfigError: " in capsys.readouterr().err


def test_identification_needs_no_training(probe, corpus, checkpoint, capsys):
    assert probe.main([str(checkpoint), "--manifest", str(corpus.identification), "--leads", "12"]) == 0
    assert "c, frozen: identification of" in capsys.readouterr().out


def test_a_mistake_is_told_without_a_traceback(probe, checkpoint, tmp_path, capsys):
    assert probe.main([str(checkpoint), "--manifest", str(tmp_path)]) == 1
    assert "LabelError" in capsys.readouterr().err
