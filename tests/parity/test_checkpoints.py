"""Checkpoint files of the authors' trainer load, and the loaded models compute what theirs do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals.errors import CheckpointError
from fairseq_signals.modules.checkpoint import Checkpoint, load_checkpoint, load_model
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.pooling import mean_over_frames

pytestmark = pytest.mark.shared


def outputs_of(path: Path) -> dict:
    """Saved outputs: `NAME.io.npz` has those of NAME.pt, and as `<task>_<output>` those of NAME_<task>.pt."""
    saved = [p for p in path.parent.glob("*.io.npz") if path.stem.startswith(p.name[: -len(".io.npz")])]
    assert saved, f"no outputs for {path}"
    closest = max(saved, key=lambda p: len(p.name))
    task = path.stem[len(closest.name) - len(".io.npz") :].lstrip("_")
    prefix = f"{task}_" if task else ""
    with np.load(closest) as arrays:
        names = {
            "source": "source",
            **{key[len(prefix) :]: key for key in arrays.files if key.startswith(prefix)},
        }
        return {name: torch.from_numpy(np.array(arrays[key])) for name, key in names.items()}


@pytest.fixture
def checkpoints(parity_dir):
    """`checkpoints(pretrained)`: the readable checkpoint files with the outputs saved for them."""

    def find(pretrained: bool) -> list[tuple[Checkpoint, dict]]:
        readable = [load_checkpoint(path) for path in sorted(parity_dir.rglob("*.pt"))]
        found = [one for one in readable if (one.kind == "pretraining") == pretrained]
        if not found:
            pytest.skip("no such checkpoint that this torch can read safely")
        return [(one, outputs_of(one.path)) for one in found]

    return find


@torch.no_grad()
def test_pretrained_checkpoint_encodes_like_the_authors_model(checkpoints, close):
    for checkpoint, theirs in checkpoints(pretrained=True):
        assert checkpoint.from_authors
        encoder = ECGEncoder(checkpoint.config).eval()
        encoder.load_state_dict(checkpoint.encoder_state)
        x = encoder(theirs["source"]).x
        close(f"{checkpoint.path.name}: encoder_out", x, theirs["encoder_out"])
        close(f"{checkpoint.path.name}: aggregated", mean_over_frames(x), theirs["aggregated"])


@torch.no_grad()
def test_fine_tuned_checkpoint_with_numpy_metrics_gives_the_authors_logits(checkpoints, close):
    for checkpoint, theirs in checkpoints(pretrained=False):
        with pytest.raises(Exception, match="numpy"):  # PyTorch by itself refuses it
            torch.load(checkpoint.path, weights_only=True)
        model, _ = load_model(checkpoint.path)
        close(
            f"{checkpoint.path.name}: encoder_out",
            model.encoder(theirs["source"]).x,
            theirs["encoder_out"],
        )
        close(f"{checkpoint.path.name}: logits", model(theirs["source"]), theirs["logits"])


def test_pretrained_checkpoint_says_that_it_has_no_task_yet(checkpoints):
    for checkpoint, _ in checkpoints(pretrained=True):
        with pytest.raises(CheckpointError, match="fine-tune it first"):
            load_model(checkpoint.path)


def test_fine_tuned_checkpoint_without_its_origin_asks_for_it(checkpoints, tmp_path):
    for checkpoint, _ in checkpoints(pretrained=False):
        alone = tmp_path / checkpoint.path.name
        alone.write_bytes(checkpoint.path.read_bytes())
        origin = Path(checkpoint.model_cfg["model_path"]).name
        with pytest.raises(CheckpointError, match=f"Put the pre-trained checkpoint {origin} beside it"):
            load_checkpoint(alone)
