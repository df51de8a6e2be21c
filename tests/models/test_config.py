"""Keys that a configuration does not know."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import check_keys
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel


def test_every_unknown_key_is_named_with_what_it_may_have_been():
    cfg = OmegaConf.create({"_name": "x", "encoder_layer": 3, "mask_prob": 0.5, "zzz": 1})
    with pytest.raises(ConfigError) as error:
        check_keys(ECGTransformerModel, cfg, "model")
    message = str(error.value)
    assert "unknown key model.encoder_layer (did you mean encoder_layers" in message
    assert ", model.zzz. ECGTransformerConfig knows: activation_dropout, " in message
    assert "mask_prob (did you mean" not in message


def test_known_keys_and_complete_configurations_pass():
    check_keys(ECGTransformerModel, OmegaConf.create({"_name": "x", "mask_prob": 0.5}), "model")
    check_keys(ECGTransformerModel, ECGTransformerConfig(), "model")
