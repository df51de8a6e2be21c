"""Tiny models and checkpoints for the tests of the registered models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel
from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCConfig, Wav2Vec2CMSCModel


@pytest.fixture
def make_wav2vec2(tiny):
    """`make_wav2vec2(**options)`: a tiny pre-training model, in evaluation mode."""

    def build(**options: object) -> Wav2Vec2CMSCModel:
        torch.manual_seed(0)
        defaults = {
            "quantize_targets": True,
            "latent_vars": 6,
            "final_dim": 8,
            "num_negatives": 5,
            "mask_length": 3,
        }
        return Wav2Vec2CMSCModel(Wav2Vec2CMSCConfig(**{**tiny, **defaults, **options})).eval()

    return build


@pytest.fixture
def pretrained_encoder(tiny) -> ECGTransformerModel:
    torch.manual_seed(7)
    return ECGTransformerModel(ECGTransformerConfig(**tiny, apply_mask=True)).eval()


@pytest.fixture
def pretrained_path(tiny, pretrained_encoder, tmp_path) -> Path:
    """A checkpoint with that encoder and a quantizer that fine-tuning has no use for."""
    state = {f"encoder.{key}": value for key, value in pretrained_encoder.state_dict().items()}
    state["quantizer.vars"] = torch.zeros(1)
    path = tmp_path / "pretrained.pt"
    torch.save({"model": state, "cfg": {"model": tiny}}, path)
    return path


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every run, whatever ran before."""
    torch.manual_seed(0)
