"""Checkpoints as they are published load, in every form of several versions of the authors' code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_checkpoint, load_model
from fairseq_signals.errors import CheckpointError
from fairseq_signals.inference.classes import classes_of_checkpoint
from tests.checkpoints.lookalikes import CFG_FORMS, VERSIONS, encoder, finetuned, pretrained

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("cfg", CFG_FORMS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pretrained_model_is_the_same_in_every_form(tmp_path, ecg_batch, cfg, version):
    checkpoint = load_checkpoint(pretrained(tmp_path / "x.pt", cfg=cfg, version=version, old_norm=False))
    assert (checkpoint.kind, checkpoint.from_authors) == ("pretraining", True)
    assert checkpoint.task_cfg["normalize"] is False
    assert checkpoint.progress["num_updates"] == 300_000
    model = ECGModel.load(checkpoint.path)
    assert torch.equal(model.network.encoder(ecg_batch()).x, encoder()(ecg_batch()).x)


@pytest.mark.parametrize("cfg", CFG_FORMS)
@pytest.mark.parametrize(
    ("version", "carries"), [("2024", "args"), ("2022", "cfg"), ("2024", "model"), ("2021", "w2v_args")]
)
def test_a_finetuned_model_that_carries_its_encoders_options_needs_no_other_file(
    tmp_path, ecg_batch, caplog, cfg, version, carries
):
    path = finetuned(tmp_path / "x.pt", cfg=cfg, version=version, carries=carries)
    model, checkpoint = load_model(path)
    plain, _ = load_model(finetuned(tmp_path / "plain.pt"))
    assert torch.equal(model(ecg_batch()), plain(ecg_batch()))
    assert torch.equal(model.encoder(ecg_batch()).x, encoder()(ecg_batch()).x)
    assert checkpoint.from_authors
    if carries != "model":  # its own word on the heads is not its encoder's
        assert not caplog.records


@pytest.mark.parametrize("name", ["mimic_iv_ecg_physionet_pretrained.pt", "base_ssl.pt"])
def test_a_finetuned_model_takes_the_options_of_the_pretrained_one_beside_it(tmp_path, ecg_batch, name):
    path = finetuned(tmp_path / "x.pt", carries=None)
    with pytest.raises(CheckpointError, match="Put the pre-trained checkpoint mimic_iv_ecg_phys"):
        load_model(path)
    pretrained(tmp_path / name)
    assert torch.equal(load_model(path)[0].encoder(ecg_batch()).x, encoder()(ecg_batch()).x)


def test_only_a_published_file_is_trusted_on_its_heads_without_the_pretrained_one(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("fairseq_signals.checkpoints.presets._has_published_shape", lambda config: True)
    load_checkpoint(finetuned(tmp_path / "mimic_iv_ecg_finetuned.pt", carries="model"))
    assert not caplog.records
    load_checkpoint(finetuned(tmp_path / "another.pt", carries="model"))
    assert "heads, strides and the order of norms are now only its own word" in caplog.text


def test_names_of_classes_may_be_given_later_for_a_checkpoint_that_does_not_say_them(tmp_path, caplog):
    checkpoint = load_checkpoint(finetuned(tmp_path / "x.pt"))
    names = [f"class {i}" for i in range(17)]
    assert classes_of_checkpoint(checkpoint, names).labels == tuple(names)
    assert not caplog.records
    assert ECGModel.load(checkpoint.path).labels == tuple(map(str, range(17)))
    assert "does not say what its 17 classes are called" in caplog.text


def test_references_between_sections_are_followed(tmp_path):
    cfg = load_checkpoint(pretrained(tmp_path / "x.pt", cfg="omegaconf")).cfg
    assert cfg["model"]["data"] == cfg["task"]["data"] == "/home/someone/manifests/cmsc"
    assert cfg["model"]["normalize"] is False


MEASURE = """
import resource, sys
import numpy, torch
from fairseq_signals import ECGModel

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
model = ECGModel.load(sys.argv[1])
loaded = peak() - before
rows = model.embed(numpy.random.default_rng(0).normal(size=(1, 12, 5000)).astype("f4"), fs=500)
print(loaded, peak() - before, model.n_parameters, rows.shape, sep="|")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "n"), [(pretrained, 90_374_016), (finetuned, 90_386_321)], ids=["pretrained", "finetuned"]
)
def test_at_full_size_loading_takes_little_more_than_the_weights(tmp_path, write, n):
    path = write(tmp_path / "full.pt", size="full", cfg="omegaconf")
    assert 1.07e9 < path.stat().st_size < 1.1e9
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, embedded, found, shape = done.stdout.strip().split("|")
    assert (int(found), shape) == (n, "(1, 768)")
    assert int(loaded) < 0.45e9  # the weights are 0.36e9
    assert int(embedded) < 0.8e9
