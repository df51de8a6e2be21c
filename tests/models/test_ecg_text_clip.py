"""ECGs and texts in a joint space: unit vectors, masks, what it begins with, what it refuses."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_text_clip import ECGTextClipConfig, ECGTextClipModel
from fairseq_signals.modules.pooling import mean_over_frames

TEXT = torch.tensor([[0, 7, 9, 2], [0, 8, 2, 1]])


@pytest.fixture
def make(tiny):
    def build(**options: object) -> ECGTextClipModel:
        torch.manual_seed(0)
        return ECGTextClipModel(ECGTextClipConfig(**{**tiny, "vocab_size": 12, "joint_dim": 8, **options}))

    return build


def test_both_sides_are_of_length_1_in_one_space(make, ecg_batch):
    output = make().eval()(ecg_batch(2), text=TEXT)
    a, b = ECGTextClipModel.two_representations(output)
    assert a.shape == b.shape == (2, 8)
    for vectors in (a, b):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert ECGTextClipModel.global_representation(output) is a
    assert output.scale.item() == pytest.approx(1 / 0.07)
    assert output.bias.item() == 0


def test_of_ecgs_alone_there_is_the_projected_mean_over_frames(make, ecg_batch):
    model = make().eval()
    output = model(ecg_batch(2))
    assert output.b is None
    pooled = mean_over_frames(model.encoder(ecg_batch(2)).x)
    torch.testing.assert_close(model.pooled(ecg_batch(2)), pooled)
    expected = torch.nn.functional.normalize(pooled @ model.joint.ecg.weight.T, dim=1)
    torch.testing.assert_close(output.a, expected)


def test_the_scale_is_at_most_100(make):
    model = make(initial_scale=80.0)
    with torch.no_grad():
        model.joint.log_scale += 1
    assert model.joint.scale.item() == 100


def test_the_encoder_begins_with_pretrained_weights(make, tiny, pretrained_path, pretrained_encoder):
    model = make(model_path=str(pretrained_path), apply_mask=True)
    for key, value in pretrained_encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[key], value), key


def test_spans_are_masked_in_training_alone(make, ecg_batch):
    model, source = make(apply_mask=True, mask_length=3, dropout=0.0, attention_dropout=0.0), ecg_batch(2)
    assert torch.equal(model.eval()(source).a, model(source).a)
    assert not torch.equal(model.train()(source).a, model(source).a)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"joint_dim": 0}, r"model\.joint_dim must be an integer from 1"),
        ({"initial_scale": 0.0}, r"model\.initial_scale must be a number from"),
        ({"vocab_size": 0}, r"model\.vocab_size=0 .* takes it from its manifests"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)
