"""Checkpoints as they are published load, in every form of several versions of the authors' code."""

from __future__ import annotations

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
    ("version", "carries"), [("2024", "args"), ("2022", "args"), ("2024", "model"), ("2021", "w2v_args")]
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
