"""Checkpoint files of the authors' trainer load, and the loaded models compute what theirs do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairseq_signals.checkpoints.file import read_checkpoint_file
from fairseq_signals.checkpoints.loading import load_checkpoint, load_model
from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.pooling import mean_over_frames
from tests.checkpoints.lookalikes import in_form

pytestmark = pytest.mark.shared


@torch.no_grad()
def test_pretrained_checkpoint_encodes_like_the_authors_model(saved_checkpoints, close_where_saved):
    for checkpoint, theirs in saved_checkpoints(pretrained=True):
        assert checkpoint.from_authors
        encoder = ECGEncoder(checkpoint.config).eval()
        encoder.load_state_dict(checkpoint.encoder_state)
        x = encoder(theirs["source"]).x
        ours = {"encoder_out": x, "aggregated": mean_over_frames(x)}
        close_where_saved(checkpoint.path.name, theirs, ours)


@torch.no_grad()
def test_fine_tuned_checkpoint_with_numpy_metrics_gives_the_authors_logits(
    saved_checkpoints, close_where_saved
):
    for checkpoint, theirs in saved_checkpoints(pretrained=False):
        with pytest.raises(Exception, match="numpy"):  # PyTorch by itself refuses it
            torch.load(checkpoint.path, weights_only=True)
        model, _ = load_model(checkpoint.path)
        source = theirs["source"]
        ours = {"encoder_out": model.encoder(source).x, "logits": model(source)}
        close_where_saved(checkpoint.path.name, theirs, ours)


def test_pretrained_checkpoint_says_that_it_has_no_task_yet(saved_checkpoints):
    for checkpoint, _ in saved_checkpoints(pretrained=True):
        with pytest.raises(CheckpointError, match="fine-tune it first"):
            load_model(checkpoint.path)


def test_fine_tuned_checkpoint_without_its_origin_asks_for_it(saved_checkpoints, tmp_path):
    for checkpoint, _ in saved_checkpoints(pretrained=False):
        alone = tmp_path / checkpoint.path.name
        alone.write_bytes(checkpoint.path.read_bytes())
        origin = Path(checkpoint.model_cfg["model_path"]).name
        with pytest.raises(CheckpointError, match=f"Put the pre-trained checkpoint {origin} beside it"):
            load_checkpoint(alone)


@pytest.mark.parametrize("form", ["namespace", "mixed", "omegaconf"])
def test_checkpoints_of_the_authors_trainer_are_the_same_in_every_form(saved_checkpoints, tmp_path, form):
    for pretraining in (True, False):
        for checkpoint, _ in saved_checkpoints(pretrained=pretraining):
            raw = read_checkpoint_file(checkpoint.path)
            raw["cfg"] = in_form(raw["cfg"], form)
            torch.save(raw, tmp_path / checkpoint.path.name)
            again = load_checkpoint(tmp_path / checkpoint.path.name)
            assert again.config == checkpoint.config
            assert all(torch.equal(again.state[key], checkpoint.state[key]) for key in checkpoint.state)
