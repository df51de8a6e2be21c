"""`ecg_text_fusion`: what is told from what, and that its ECG side stands alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.checkpoints.loading import build_model, load_checkpoint
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.models.ecg_text_fusion import ECGTextFusionConfig, ECGTextFusionModel
from fairseq_signals.models.ecg_transformer_classifier import (
    ECGTransformerClassifierConfig,
    ECGTransformerClassifierModel,
)
from fairseq_signals.modules.ecg_text import ECGText
from tests.objectives import DECODER, TOKENS

TEXT = torch.tensor([[0, 7, 4, 2], [0, 8, 2, 1]])
OPTIONS = {**TOKENS, **DECODER, "vocab_size": 12, "joint_dim": 8, "fusion_layers": 1}


def make(**options) -> ECGTextFusionModel:
    torch.manual_seed(0)
    return ECGTextFusionModel(ECGTextFusionConfig(**{**OPTIONS, **options})).eval()


def test_it_tells_samples_pieces_and_matches(ecg_batch):
    output = make()(ecg_batch(2), text=TEXT)
    assert output.redrawn.prediction.shape == (2, 20, 12, 16)
    assert output.redrawn.masked.sum(dim=1).tolist() == [15, 15]  # a quarter of 20 is kept
    assert output.pieces.shape == (2, 4, 12)
    assert output.match.shape == (2,)
    for vectors in (output.a, output.b):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert output.scale.item() == pytest.approx(10)


def test_samples_are_told_from_the_text_too_and_pieces_from_the_ecg(ecg_batch):
    model, keep = make(), torch.arange(5).expand(2, -1)
    x, other = ecg_batch(2), ecg_batch(2, seed=1)
    plain = model(x, text=TEXT, keep=keep)
    of_other_text = model(x, text=TEXT.roll(1, 0), keep=keep)
    of_other_ecg = model(other, text=TEXT, keep=keep)
    assert not torch.allclose(plain.redrawn.prediction, of_other_text.redrawn.prediction)
    assert not torch.allclose(plain.pieces, of_other_ecg.pieces)
    torch.testing.assert_close(plain.a, of_other_text.a)  # the joint space comes before
    torch.testing.assert_close(plain.b, of_other_ecg.b)


def test_masked_samples_do_not_reach_anything(ecg_batch):
    model, keep, x = make(), torch.arange(5).expand(2, -1), ecg_batch(2)
    changed = x.clone()
    changed[..., 80:] += 1
    for name in ("pieces", "match", "a"):
        plain, other = (getattr(model(each, text=TEXT, keep=keep), name) for each in (x, changed))
        torch.testing.assert_close(plain, other)


def test_more_padding_of_texts_changes_nothing(ecg_batch):
    model, keep, x = make(), torch.arange(5).expand(2, -1), ecg_batch(2)
    longer = torch.nn.functional.pad(TEXT, (0, 3), value=1)
    plain, padded = (model(x, text=text, keep=keep) for text in (TEXT, longer))
    torch.testing.assert_close(padded.match, plain.match)
    torch.testing.assert_close(padded.pieces[:, :3], plain.pieces[:, :3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "model.vocab_size=0"),
        ({"vocab_size": 0, "text_vector_dim": 4}, "texts must come as pieces"),
        ({"fusion_layers": 0}, "model.fusion_layers must be"),
        ({"projection": "linear"}, "model.projection=linear"),
        ({"position": "conv"}, "position"),
    ],
)
def test_options_that_make_no_fusion_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_without_texts_it_names_the_task(ecg_batch):
    with pytest.raises(ConfigError, match="task ecg_text_pretraining"):
        make()(ecg_batch(2))


@pytest.fixture
def path(tmp_path):
    model = make()
    torch.save({"model": model.state_dict(), "cfg": {"model": {"_name": "ecg_text_fusion", **OPTIONS}}},
               tmp_path / "fusion.pt")  # fmt: skip
    return tmp_path / "fusion.pt"


def test_its_ecg_side_embeds_and_compares_with_texts_and_saves_as_a_folder(path, tmp_path, ecg_batch):
    model = ECGModel.load(path)
    x = ecg_batch(1, 2500)
    network = build_model(load_checkpoint(path))
    assert isinstance(network, ECGText)
    with torch.no_grad():
        np.testing.assert_allclose(model.embed(x[0].numpy(), fs=500), network.pooled(x)[0], atol=1e-5)
        b = make()(x[:1].expand(2, -1, -1), text=TEXT).b
        torch.testing.assert_close(network.of_texts(TEXT), b)
    model.save(tmp_path / "saved")
    again = ECGModel.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.embed(x[0].numpy(), fs=500), model.embed(x[0].numpy(), fs=500))


def test_zero_shot_compares_what_the_whole_model_contrasts_where_nothing_is_masked(path, ecg_batch):
    network, model, x = build_model(load_checkpoint(path)), make(), ecg_batch(2)
    with torch.no_grad():
        for parameter in model.fusion.parameters():  # what zero-shot does without
            parameter.add_(1)
        whole = model(x, text=TEXT, keep=torch.arange(20).expand(2, -1))
        assert not whole.redrawn.masked.any()
        torch.testing.assert_close(network(x), whole.a)
        torch.testing.assert_close(network(x) @ network.of_texts(TEXT).T, whole.a @ whole.b.T)


def test_a_classifier_begins_with_its_encoder(path, tmp_path):
    cfg = ECGTransformerClassifierConfig(**{**TOKENS, "model_path": str(path), "num_labels": 3})
    model = ECGTransformerClassifierModel.build_model(cfg)
    expected = make().encoder.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.encoder.state_dict().items())
