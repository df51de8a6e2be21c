"""The model of the global objectives: pooling, projections, span masks, and fine-tuning from it."""

from __future__ import annotations

import logging

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_signals.checkpoints.loading import load_checkpoint, load_model
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel
from fairseq_signals.models.ecg_transformer_classifier import (
    ECGTransformerClassifierConfig,
    ECGTransformerClassifierModel,
)
from fairseq_signals.models.finetuning import FinetuningConfig, build_encoder


@pytest.fixture
def make_contrastive(tiny):
    """`make_contrastive(**options)`: a tiny model, in evaluation mode."""

    def build(**options: object) -> ECGContrastiveModel:
        torch.manual_seed(0)
        return ECGContrastiveModel(ECGContrastiveConfig(**{**tiny, "final_dim": 8, **options})).eval()

    return build


PADDING = torch.arange(320) >= torch.tensor([320, 160, 48, 320])[:, None]


@torch.no_grad()
def test_global_representation_is_the_mean_over_frames_that_are_not_padding(make_contrastive, ecg_batch):
    model = make_contrastive()
    g = model.global_representation(model(ecg_batch(), PADDING))
    encoded = model.encoder(ecg_batch(), PADDING)
    assert encoded.span_mask is None
    for row, n_valid in enumerate([20, 10, 3, 20]):
        assert torch.allclose(g[row], encoded.x[row, :n_valid].mean(dim=0), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(("projection", "width"), [("none", 16), ("linear", 8), ("mlp", 8)])
def test_projections_have_the_form_and_the_width_that_they_say(
    make_contrastive, ecg_batch, projection, width
):
    model = make_contrastive(projection=projection)
    g = model.global_representation(model(ecg_batch(), PADDING))
    assert g.shape == (4, width)
    pooled = make_contrastive()(ecg_batch(), PADDING).g
    head = model.projection
    if projection == "none":
        expected = pooled
    elif projection == "linear":
        expected = pooled @ head.weight.T + head.bias
    else:
        hidden = (pooled @ head[0].weight.T + head[0].bias).clamp(min=0)
        assert hidden.shape == (4, 16)
        expected = hidden @ head[2].weight.T + head[2].bias
    assert torch.allclose(g, expected, atol=1e-6)


@torch.no_grad()
def test_frames_are_projected_where_that_is_asked_for(make_contrastive, ecg_batch):
    model = make_contrastive(projection="mlp")
    assert model(ecg_batch(), PADDING).frames is None
    out = model(ecg_batch(), PADDING, project_frames=True)
    assert torch.equal(out.frames, model.projection(out.x))
    for row, n_valid in enumerate([20, 10, 3, 20]):
        assert torch.allclose(out.g[row], out.frames[row, :n_valid].mean(dim=0), atol=1e-6)


@torch.no_grad()
def test_spans_are_masked_where_that_is_asked_for(make_contrastive, ecg_batch):
    plain = make_contrastive()
    assert "encoder.mask_emb" not in plain.state_dict()
    assert torch.equal(plain(ecg_batch()).g, plain(ecg_batch()).g)
    masked = make_contrastive(apply_mask=True, mask_length=3)
    assert "encoder.mask_emb" in masked.state_dict()
    one, other = masked(ecg_batch()).g, masked(ecg_batch()).g  # in validation too: it is the same loss
    assert not torch.equal(one, other)
    masked.cfg.mask_prob = 0.0
    assert torch.equal(masked(ecg_batch()).g, masked(ecg_batch()).g)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"projection": "deep"},
            r"model\.projection must be one of none, linear, mlp, mlp_norm, but is 'deep'",
        ),
        (
            {"projection": "mlp", "final_dim": 0},
            r"model\.final_dim must be an integer from 1 to 1,048,576, but is 0",
        ),
        ({"encoder_attention_heads": 3}, r"model\.encoder_embed_dim"),
    ],
)
def test_options_that_make_no_model_are_refused_by_name(make_contrastive, options, message):
    with pytest.raises(ConfigError, match=message):
        make_contrastive(**options)


def test_misspelt_key_is_named_with_its_near_misses(tiny):
    cfg = OmegaConf.create({**tiny, "projections": "mlp"})
    with pytest.raises(ConfigError, match=r"model\.projections \(did you mean projection"):
        ECGContrastiveModel.build_model(cfg)


@pytest.fixture
def contrastive_checkpoint(make_contrastive, tiny, tmp_path):
    """A checkpoint of a model with a projection and span masks, as fairseq writes it, and its encoder."""
    options = {"projection": "mlp", "apply_mask": True, "mask_length": 3}
    model = make_contrastive(**options)
    cfg = {"model": {"_name": "ecg_contrastive", **tiny, "final_dim": 8, **options}, "task": {"data": "x"}}
    torch.save({"model": model.state_dict(), "cfg": cfg}, tmp_path / "contrastive.pt")
    return tmp_path / "contrastive.pt", model.encoder


def test_checkpoint_is_one_of_pretraining(contrastive_checkpoint):
    path, encoder = contrastive_checkpoint
    checkpoint = load_checkpoint(path)
    assert checkpoint.kind == "pretraining"
    assert not checkpoint.from_authors
    assert checkpoint.config.encoder_embed_dim == 16
    assert checkpoint.encoder_state.keys() == encoder.state_dict().keys()
    with pytest.raises(CheckpointError, match="has no task yet; fine-tune it first"):
        load_model(path)


def test_fine_tuning_takes_the_encoder_and_names_what_it_does_not_use(
    contrastive_checkpoint, tiny, ecg_batch, caplog
):
    path, encoder = contrastive_checkpoint
    with caplog.at_level(logging.INFO):
        tuned = build_encoder(FinetuningConfig(**tiny, num_labels=3, model_path=str(path)))
    assert torch.equal(tuned.eval()(ecg_batch()).x, encoder(ecg_batch()).x)
    unused = (
        "encoder.mask_emb, projection.0.bias, projection.0.weight, projection.2.bias, projection.2.weight"
    )
    assert f"missing: none; unused: {unused}" in caplog.text


def test_fine_tuned_model_of_it_is_saved_and_loaded(contrastive_checkpoint, tiny, ecg_batch, tmp_path):
    path, _ = contrastive_checkpoint
    options = {**tiny, "num_labels": 3, "model_path": str(path)}
    model = ECGTransformerClassifierModel.build_model(ECGTransformerClassifierConfig(**options)).eval()
    torch.save({"model": model.state_dict(), "cfg": {"model": options}}, tmp_path / "tuned.pt")
    loaded, _ = load_model(tmp_path / "tuned.pt")
    assert torch.equal(loaded(ecg_batch()), model(ecg_batch()))
