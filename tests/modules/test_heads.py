"""The two downstream heads on the pooled encoder."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier


@pytest.fixture
def make(tiny):
    """`make(head, **options)`: a tiny model."""

    def build(head: type, final_dropout: float = 0.0, **options: object):
        torch.manual_seed(0)
        return head(ECGEncoder(EncoderConfig(**{**tiny, **options})), 5, final_dropout)

    return build


def padded(b: int, n_valid: int) -> torch.Tensor:
    return (torch.arange(320) >= n_valid).expand(b, -1)


def test_classifier_is_linear_in_the_mean_over_valid_frames(make, ecg_batch):
    model, source = make(ECGClassifier).eval(), ecg_batch()
    frames = model.encoder(source, padded(4, 160)).x[:, :10]
    expected = frames.mean(dim=1) @ model.proj.weight.T + model.proj.bias
    assert torch.allclose(model(source, padded(4, 160)), expected, atol=1e-5)


def test_embedding_is_the_normalised_mean_over_valid_frames(make, ecg_batch):
    model, source = make(ECGIdentifier).eval(), ecg_batch()
    frames = model.encoder(source, padded(4, 160)).x[:, :10]
    embedding = model(source, padded(4, 160))
    assert torch.allclose(embedding, F.normalize(frames.mean(dim=1), dim=1), atol=1e-6)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(4), atol=1e-6)


def test_cosine_logits_compare_with_the_direction_of_each_patient(make, ecg_batch):
    model = make(ECGIdentifier).eval()
    embedding = model(ecg_batch())
    expected = torch.stack([F.cosine_similarity(embedding, row[None], dim=1) for row in model.kernel], dim=1)
    assert torch.allclose(model.cosine_logits(embedding), expected, atol=1e-6)
    model.kernel.data[2] = 7 * embedding[1].detach()  # a direction that rounding may push beyond 1
    assert model.cosine_logits(embedding).max().item() == pytest.approx(1.0)
    assert model.cosine_logits(embedding).max() <= 1.0


@pytest.mark.parametrize("head", [ECGClassifier, ECGIdentifier])
def test_spans_are_masked_in_training_and_only_if_configured(make, ecg_batch, head):
    source = ecg_batch()
    model = make(head, apply_mask=True, mask_length=3)
    assert not torch.equal(model(source), model(source))
    model.eval()
    assert torch.equal(model(source), model(source))
    plain = make(head, apply_mask=False)
    assert torch.equal(plain(source), plain(source))


def test_final_dropout_acts_on_the_pooled_features(make, ecg_batch):
    model, source = make(ECGClassifier, final_dropout=0.5), ecg_batch()
    assert not torch.equal(model(source), model(source))
    assert torch.equal(model.pooled(source), model.pooled(source))
