"""Checkpoint files of tiny models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier

OLD_WEIGHT_NORM = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}
# what a fine-tuning configuration of the authors' code says of an encoder that it takes from elsewhere
AUTHORS_DEFAULTS = {
    "saliency": False,
    "encoder_layers": 12,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 3072,
    "encoder_attention_heads": 12,
    "conv_feature_layers": "[(256, 2, 2)] * 4",
    "conv_pos": 128,
    "conv_pos_groups": 16,
}


class Checkpoints:
    """Writes checkpoints of one tiny encoder."""

    def __init__(self, folder: Path, options: dict):
        self.folder, self.options = folder, options
        torch.manual_seed(0)
        self.encoder = ECGEncoder(EncoderConfig(**options)).eval()

    def write(self, name: str, state: dict, model_cfg: dict, **more: object) -> Path:
        path = self.folder / name
        cfg = {"model": model_cfg, "task": {"data": "x"}}
        torch.save({"model": state, "cfg": cfg, **more}, path)
        return path

    def pretrained(self, name: str = "pretrained.pt", authors: bool = False, old_norm: bool = False) -> Path:
        """An encoder and a part that only pre-training needs, under our or the authors' key names."""
        prefix = "" if authors else "encoder."
        state = {prefix + key: value for key, value in self.encoder.state_dict().items()}
        state["final_proj.weight"] = torch.zeros(3, 3)
        if old_norm:
            for new, old in OLD_WEIGHT_NORM.items():
                state = {re.sub(rf"{new}$", old, key): value for key, value in state.items()}
        return self.write(name, state, self.options)

    def fine_tuned(self, head: type = ECGClassifier, name: str = "fine_tuned.pt", **more: object) -> Path:
        """A model of ours, whose configuration describes its encoder."""
        return self.write(name, head(self.encoder, 5).state_dict(), self.options, **more)

    def fine_tuned_by_authors(self, origin: object, name: str = "classifier.pt", **model_cfg: object) -> Path:
        """A classifier whose configuration does not describe its encoder, but names where it came from."""
        cfg = {**AUTHORS_DEFAULTS, "model_path": str(origin), **model_cfg}
        return self.write(name, ECGClassifier(self.encoder, 5).state_dict(), cfg)


@pytest.fixture
def checkpoints(tmp_path, tiny) -> Checkpoints:
    return Checkpoints(tmp_path, tiny)


@pytest.fixture
def heads() -> dict:
    return {"classification": ECGClassifier, "identification": ECGIdentifier}


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run, whatever ran before."""
    torch.manual_seed(0)
