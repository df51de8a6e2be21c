"""Encoders of pre-trainings that begin with a model."""

import pytest
import torch

from fairseq_signals.errors import CheckpointError
from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel
from fairseq_signals.models.ecg_jepa import ECGJEPAConfig, ECGJEPAModel
from fairseq_signals.models.ecg_mae import ECGMAEConfig, ECGMAEModel
from fairseq_signals.models.ecg_wav2vec2 import ECGWav2Vec2Config, ECGWav2Vec2Model

SHAPE = {"frontend": "conv", "position": "none", "layer_norm_first": True}
MODELS = {
    "ecg_mae": (ECGMAEModel, ECGMAEConfig, {}),
    "ecg_jepa": (ECGJEPAModel, ECGJEPAConfig, {"predictor_dim": 16, "predictor_layers": 1}),
    "ecg_contrastive": (ECGContrastiveModel, ECGContrastiveConfig, {}),
    "ecg_wav2vec2": (ECGWav2Vec2Model, ECGWav2Vec2Config, {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_encoder_and_teacher_of_a_pre_training_begin_with_the_model_that_is_given(name, tiny, tmp_path):
    model, config, options = MODELS[name]
    options = {**tiny, **SHAPE, **options}
    before, path = model(config(**options)), tmp_path / "before.pt"
    torch.save({"model": before.state_dict(), "cfg": {"model": {"_name": name, **tiny, **SHAPE}}}, path)
    begun = model(config(**options, model_path=str(path)))
    teacher = getattr(begun, "teacher", None)
    for encoder in (begun.encoder, *([teacher.encoder] if teacher is not None else [])):
        found = encoder.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in before.encoder.state_dict().items())
    with pytest.raises(CheckpointError, match="another architecture"):
        model(config(**{**options, "encoder_embed_dim": 32, "model_path": str(path)}))
