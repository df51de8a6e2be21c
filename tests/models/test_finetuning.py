"""Where a fine-tuned model's encoder comes from, and when it trains."""

from __future__ import annotations

import logging

import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints import shipped
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.finetuning import (
    FinetuningConfig,
    adopt_architecture,
    architecture_source,
    build_encoder,
)
from fairseq_signals.modules.encoder_config import ARCHITECTURE


@pytest.fixture
def config(tiny):
    """`config(**options)`: a fine-tuning configuration, as tiny as the checkpoint's encoder."""
    return lambda **options: FinetuningConfig(**{**tiny, "num_labels": 3, **options})


@pytest.fixture(autouse=True)
def log_everything(caplog):
    caplog.set_level(logging.INFO)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    state = other.state_dict()
    return all(torch.equal(value, state[key]) for key, value in one.state_dict().items())


def test_encoder_gets_the_pretrained_weights_and_says_which(
    config, pretrained_path, pretrained_encoder, caplog
):
    encoder = build_encoder(config(model_path=str(pretrained_path)))
    assert same_weights(encoder, pretrained_encoder)
    n = len(encoder.state_dict())
    assert f"loaded {n} parameters from {pretrained_path}; missing: none; unused: " in caplog.text
    assert "unused: encoder.mask_emb, quantizer.vars" in caplog.text


def test_mask_embedding_is_loaded_where_it_is_used_and_may_be_missing(
    config, pretrained_path, pretrained_encoder, tmp_path, caplog
):
    encoder = build_encoder(config(model_path=str(pretrained_path), apply_mask=True))
    assert torch.equal(encoder.mask_emb, pretrained_encoder.mask_emb)
    raw = torch.load(pretrained_path, weights_only=True)
    del raw["model"]["encoder.mask_emb"]
    torch.save(raw, tmp_path / "unmasked.pt")
    build_encoder(config(model_path=str(tmp_path / "unmasked.pt"), apply_mask=True))
    assert "missing: mask_emb" in caplog.text


def test_authors_key_names_are_mapped_and_mentioned(config, pretrained_path, pretrained_encoder, caplog):
    raw = torch.load(pretrained_path, weights_only=True)
    raw["model"] = {key.replace("encoder.", "", 1): value for key, value in raw["model"].items()}
    torch.save(raw, pretrained_path)
    encoder = build_encoder(config(model_path=str(pretrained_path)))
    assert same_weights(encoder, pretrained_encoder)
    assert "(authors' key names)" in caplog.text


def test_a_saved_models_folder_serves_as_well_as_the_checkpoint(
    config, pretrained_path, pretrained_encoder, tmp_path
):
    ECGModel.load(pretrained_path).save(tmp_path / "model")
    cfg = config(model_path=str(tmp_path / "model"))
    assert same_weights(build_encoder(cfg), pretrained_encoder)
    found, expected = architecture_source(cfg).config, load_checkpoint(pretrained_path).config
    assert all(getattr(found, name) == getattr(expected, name) for name in ARCHITECTURE)


def test_weights_of_the_package_serve_by_their_name(
    config, pretrained_path, pretrained_encoder, monkeypatch, tmp_path
):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "weights")
    ECGModel.load(pretrained_path).save(tmp_path / "weights" / "small", dtype="float16")
    cfg = config(model_path="small")
    rounded = {key: value.half().float() for key, value in pretrained_encoder.state_dict().items()}
    state = build_encoder(cfg).state_dict()
    assert all(torch.equal(value, rounded[key]) for key, value in state.items())
    assert architecture_source(cfg).config.encoder_layers == 2


@pytest.mark.parametrize("options", [{"model_path": None}, {"no_pretrained_weights": True}])
def test_random_weights_are_a_choice_and_said(config, pretrained_path, pretrained_encoder, options, caplog):
    encoder = build_encoder(config(**{"model_path": str(pretrained_path), **options}))
    assert not same_weights(encoder, pretrained_encoder)
    assert "random initialisation" in caplog.text


def test_pretrained_file_that_is_gone_is_warned_of(config, tmp_path, caplog):
    # fairseq builds a fine-tuned model before it loads the parameters, wherever it came from
    build_encoder(config(model_path=str(tmp_path / "gone.pt")))
    record = next(record for record in caplog.records if "gone.pt is gone" in record.message)
    assert record.levelno == logging.WARNING


def test_weights_of_another_architecture_are_refused(config, pretrained_path):
    with pytest.raises(CheckpointError, match="another architecture than the model's"):
        build_encoder(config(model_path=str(pretrained_path), encoder_ffn_embed_dim=48))
    with pytest.raises(CheckpointError, match=r"lacks parameters of the encoder: encoder\.layers\.2\."):
        build_encoder(config(model_path=str(pretrained_path), encoder_layers=3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_labels": 0}, r"model\.num_labels must be at least 1"),
        ({"final_dropout": 1.0}, r"model\.final_dropout must be in \[0, 1\)"),
        ({"freeze_finetune_updates": -1}, r"model\.freeze_finetune_updates must be >= 0"),
    ],
)
def test_values_that_no_head_can_have_are_refused_by_name(config, options, message):
    with pytest.raises(ConfigError, match=message):
        build_encoder(config(**options))


def test_architecture_is_taken_from_the_checkpoint_and_shown(pretrained_path, tiny, caplog):
    checkpoint = load_checkpoint(pretrained_path)
    adopted = adopt_architecture({}, checkpoint)
    assert set(adopted) == set(ARCHITECTURE)
    assert {name: adopted[name] for name in tiny if name in ARCHITECTURE} == {
        name: value for name, value in tiny.items() if name in ARCHITECTURE
    }
    # defaults, and the same value written in another way, are no contradiction
    written = {"encoder_layers": 12, "conv_feature_layers": "[(8, 2, 2)] + [(8, 2, 2)] * 3", "conv_pos": 4}
    assert adopt_architecture(written, checkpoint) == adopted
    assert f"options from {pretrained_path}: encoder_layers=2, encoder_embed_dim=16" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("encoder_layers", 3), ("layer_norm_first", True), ("conv_feature_layers", "[(8, 2, 2)]")],
)
def test_key_that_contradicts_the_checkpoint_is_named_with_both_values(pretrained_path, name, value):
    checkpoint = load_checkpoint(pretrained_path)
    with pytest.raises(ConfigError, match=rf"model\.{name} is .*but the checkpoint .* remove the key"):
        adopt_architecture({name: value}, checkpoint)


def test_architecture_comes_from_the_run_itself_when_the_pretrained_file_is_gone(
    config, pretrained_path, tmp_path, caplog
):
    gone = str(tmp_path / "gone.pt")
    options = {"save_dir": str(tmp_path / "run"), "restore_file": "checkpoint_last.pt"}
    with pytest.raises(CheckpointError, match=r"model\.model_path: there is no .*gone\.pt"):
        architecture_source(config(model_path=gone, **options))
    (tmp_path / "run").mkdir()
    own = pretrained_path.rename(tmp_path / "run" / "checkpoint_last.pt")
    source = architecture_source(config(model_path=gone, **options))
    assert source.path == own
    assert "is gone; resuming takes the encoder's options from" in caplog.text
    assert architecture_source(config(model_path=None)) is None


def test_pretrained_file_is_preferred_while_it_exists(config, pretrained_path, tmp_path):
    (tmp_path / "checkpoint_last.pt").write_bytes(b"")
    options = {"save_dir": str(tmp_path), "restore_file": "checkpoint_last.pt"}
    assert architecture_source(config(model_path=str(pretrained_path), **options)).path == pretrained_path
