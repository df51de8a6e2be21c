"""The global representation of the pre-training model."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.wav2vec2_cmsc import Wav2Vec2CMSCConfig, Wav2Vec2CMSCModel


@torch.no_grad()
def test_global_representation_is_the_mean_over_valid_frames_of_the_masked_input(make_wav2vec2, ecg_batch):
    model = make_wav2vec2()
    spans = torch.rand(4, 20) < 0.5
    padding_mask = torch.arange(320) >= torch.tensor([320, 160, 48, 320])[:, None]
    g = model.global_representation(model(ecg_batch(), padding_mask, spans=spans))
    encoded = model.encoder(ecg_batch(), padding_mask, mask=True, spans=spans)
    for row, n_valid in enumerate([20, 10, 3, 20]):
        assert torch.allclose(g[row], encoded.x[row, :n_valid].mean(dim=0), atol=1e-6)


def test_misspelt_key_is_named_with_its_near_misses(tiny):
    cfg = OmegaConf.create({**tiny, "num_negativs": 3})
    with pytest.raises(ConfigError, match=r"model\.num_negativs \(did you mean num_negatives"):
        Wav2Vec2CMSCModel.build_model(cfg)


@pytest.mark.filterwarnings("ignore:Class .* subclasses .Dict")
def test_model_is_built_from_what_fairseq_merges(tiny):
    cfg = OmegaConf.merge(OmegaConf.structured(Wav2Vec2CMSCConfig), {**tiny, "quantize_targets": True})
    model = Wav2Vec2CMSCModel.build_model(cfg)
    assert model.quantizer.num_vars == 320
    assert model.final_proj.out_features == 16
