"""What a fine-tuned model's configuration takes from the manifest and from the pre-trained checkpoint."""

import logging

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel
from fairseq_signals.tasks.finetuning import complete_finetuning


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """A pre-trained checkpoint of a tiny encoder."""
    encoder = ECGTransformerModel(ECGTransformerConfig(**tiny))
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    torch.save({"model": state, "cfg": {"model": tiny}}, tmp_path / "pretrained.pt")
    return tmp_path / "pretrained.pt"


def section(**options):
    """The `model` section of a whole configuration."""
    run = {"save_dir": options.pop("save_dir", "/nowhere"), "restore_file": "checkpoint_last.pt"}
    return OmegaConf.create({"checkpoint": run, "model": options}).model


def test_the_number_of_classes_comes_from_the_manifest():
    cfg = section(model_path=None)
    complete_finetuning(cfg, 26)
    assert cfg.num_labels == 26
    cfg = section(model_path=None, num_labels=26)
    complete_finetuning(cfg, 26)
    with pytest.raises(ConfigError, match=r"model.num_labels is 26, but the manifest has 5 classes"):
        complete_finetuning(cfg, 5)


def test_the_encoders_shape_comes_from_the_checkpoint(checkpoint, tiny):
    cfg = section(model_path=str(checkpoint), dropout=0.3)
    complete_finetuning(cfg, 5)
    for name in ("encoder_layers", "encoder_embed_dim", "conv_feature_layers", "conv_pos"):
        assert cfg[name] == tiny[name]
    assert cfg.dropout == 0.3
    with pytest.raises(ConfigError, match=r"model.encoder_layers is 7, but the checkpoint .* has 2"):
        complete_finetuning(section(model_path=str(checkpoint), encoder_layers=7), 5)


def test_a_resumed_run_reads_the_shape_from_its_own_checkpoint(checkpoint, tiny, caplog):
    own = checkpoint.rename(checkpoint.with_name("checkpoint_last.pt"))
    cfg = section(model_path=str(checkpoint), save_dir=str(own.parent))
    with caplog.at_level(logging.INFO):
        complete_finetuning(cfg, 5)
    assert cfg.encoder_layers == tiny["encoder_layers"]
    assert "is gone" in caplog.text
    with pytest.raises(CheckpointError, match=r"there is no .*pretrained.pt"):
        complete_finetuning(section(model_path=str(checkpoint)), 5)


def test_a_model_that_is_loaded_keeps_what_it_was_saved_with():
    cfg = section(model_path="/gone.pt", num_labels=3, encoder_layers=2)
    before = OmegaConf.to_container(cfg)
    complete_finetuning(cfg, None)
    assert OmegaConf.to_container(cfg) == before
