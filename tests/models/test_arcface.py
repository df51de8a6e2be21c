"""The identification model as a fairseq model."""

from __future__ import annotations

import torch

from fairseq_signals.models.arcface import ArcFaceConfig, ArcFaceModel


def test_embedding_is_the_normalised_pooled_pretrained_encoder(
    tiny, pretrained_path, pretrained_encoder, ecg_batch
):
    cfg = ArcFaceConfig(**tiny, num_labels=6, model_path=str(pretrained_path))
    model = ArcFaceModel.build_model(cfg).eval()
    pooled = pretrained_encoder(ecg_batch()).x.mean(dim=1)
    embedding = model(ecg_batch())
    assert torch.allclose(embedding, pooled / pooled.norm(dim=1, keepdim=True), atol=1e-6)
    assert model.cosine_logits(embedding).shape == (4, 6)


def test_encoder_is_frozen_at_first(tiny, ecg_batch):
    model = ArcFaceModel.build_model(ArcFaceConfig(**tiny, num_labels=6, freeze_finetune_updates=1))
    for update in (0, 1):
        model.set_num_updates(update)
        model.zero_grad()
        model.cosine_logits(model(ecg_batch())).sum().backward()
        assert bool(model.kernel.grad.any())
        assert any(p.grad is not None for p in model.encoder.parameters()) is (update == 1)
