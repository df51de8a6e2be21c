"""The classifier as a fairseq model."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_transformer_classifier import (
    ECGTransformerClassifierConfig,
    ECGTransformerClassifierModel,
)


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny classifier of 3 classes."""

    def build(**options: object) -> ECGTransformerClassifierModel:
        torch.manual_seed(0)
        cfg = ECGTransformerClassifierConfig(**{**tiny, "num_labels": 3, **options})
        return ECGTransformerClassifierModel.build_model(cfg)

    return build


def trained(model: ECGTransformerClassifierModel, source: torch.Tensor) -> set:
    """The parts of the model that a backward pass reaches."""
    model.zero_grad()
    model(source).sum().backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def test_encoder_is_frozen_for_the_first_updates_and_then_thaws(make, ecg_batch):
    model = make(freeze_finetune_updates=2)
    for update, expected in enumerate([{"proj"}, {"proj"}, {"proj", "encoder"}, {"proj", "encoder"}]):
        model.set_num_updates(update)
        assert trained(model, ecg_batch()) == expected


def test_nothing_is_frozen_by_default(make, ecg_batch):
    assert trained(make(), ecg_batch()) == {"proj", "encoder"}


def test_resumed_run_knows_from_its_update_number_that_it_has_thawed(make, ecg_batch):
    model = make(freeze_finetune_updates=2)
    model.set_num_updates(1000)
    assert trained(model, ecg_batch()) == {"proj", "encoder"}


def test_frozen_front_end_stays_frozen_after_the_thaw(make, ecg_batch):
    model = make(feature_grad_mult=0.0)
    trained(model, ecg_batch())
    assert all(p.grad is None for p in model.encoder.feature_extractor.parameters())


def test_pretrained_encoder_is_used(make, pretrained_path, pretrained_encoder, ecg_batch):
    model = make(model_path=str(pretrained_path)).eval()
    x = pretrained_encoder(ecg_batch()).x.mean(dim=1)
    assert torch.allclose(model(ecg_batch()), model.proj(x), atol=1e-6)


def test_misspelt_key_is_named_with_its_near_misses(tiny):
    cfg = OmegaConf.create({**tiny, "num_labels": 3, "freeze_finetune_update": 3})
    with pytest.raises(ConfigError, match=r"model\.freeze_finetune_update \(did you mean freeze_finetune"):
        ECGTransformerClassifierModel.build_model(cfg)
