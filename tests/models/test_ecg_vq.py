"""Segments as codes: what they redraw, what passes through them, and what of an ECG each of them is."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.criterions.masked_sentence import MaskedSentenceConfig, MaskedSentenceCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_vq import ECGVQConfig, ECGVQModel

OFF = {"dropout": 0.0, "attention_dropout": 0.0}
SMALL = {"frontend": "patch", "patch_samples": 32, "codes": 16, "code_dim": 8, "decoder_dim": 16}
T = 640


def source(b: int = 4) -> torch.Tensor:
    """(B, 12, T): narrow waves at places of each segment's own, alike in all leads but for their size."""
    time = torch.arange(T)
    places = [40 + 130 * beat + 9 * row for row in range(b) for beat in range(4)]
    x = sum(
        torch.exp(-(((time - place) / 6.0) ** 2)) for place in torch.tensor(places).view(b, 4, 1).unbind(1)
    )
    return x[:, None] * torch.linspace(5, -5, 12)[:, None]


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in evaluation mode."""

    def build(**options: object) -> ECGVQModel:
        torch.manual_seed(0)
        return ECGVQModel(ECGVQConfig(**{**tiny, **SMALL, **OFF, "decoder_layers": 1, **options})).eval()

    return build


def test_segments_are_redrawn_better_than_by_their_mean_and_moved_codes_are_counted(make):
    model = make(encoder_layers=1, code_momentum=0.9, code_patience=10).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = MaskedSentenceCriterion(MaskedSentenceConfig(commitment=0.1), None)
    for _ in range(120):
        optimizer.zero_grad()
        loss, size, log = criterion(model, {"id": torch.arange(4), "net_input": {"source": source()}})
        (loss / size).backward()
        optimizer.step()
    assert log["loss"] < 0.5 * log["trivial_loss"]
    assert size == 4 * T // 32
    assert log["moved_codes"] % size == 0
    # what codes alone redraw is what was redrawn in training
    model.eval()
    found = model(source())
    codes = model.codes(source())
    assert torch.equal(codes, found.codes)
    drawn = found.redrawn.view(4, T // 32, 12, 32).transpose(1, 2).flatten(2)
    assert torch.allclose(model.redraw(codes), drawn, atol=1e-5)
    assert (model.redraw(codes) - source()).square().mean() < 0.5 * source().square().mean()


def test_the_gradient_of_what_is_redrawn_passes_through_the_codes(make):
    model, handed = make().train(), []
    model.decoder.register_forward_pre_hook(lambda module, inputs: handed.append(inputs[0]))
    found = model(source())
    handed[0].retain_grad()
    found.told.retain_grad()
    found.redrawn.square().sum().backward()
    assert torch.allclose(found.told.grad, handed[0].grad.flatten(0, 1))
    assert model.encoder.feature_extractor.projection.weight.grad.any()


def test_padding_has_no_codes_to_learn_and_changes_none(make):
    model = make(decoder_conv=0)
    padded = torch.zeros(2, T, dtype=torch.bool)
    padded[1, 320:] = True
    found = model(source(2).masked_fill(padded[:, None], 0.0), padded)
    assert found.valid.sum(dim=1).tolist() == [20, 10]
    assert len(found.told) == 30
    alone = model(source(2)[1:, :, :320])
    assert torch.equal(found.codes[1, :10], alone.codes[0])
    assert torch.allclose(found.redrawn[1, :10], alone.redrawn[0], atol=1e-5)


def test_a_convolution_that_leaves_samples_over_redraws_whole_frames(make):
    model = make(frontend="conv")
    assert model.redraw(model.codes(source()[..., :630])).shape == (4, 12, 39 * 16)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"frontend": "lead_patch", "lead_encoding": "tokens"}, "model.frontend=lead_patch"),
        ({"input_norm": "lead"}, "model.input_norm=lead"),
        ({"codes": 1}, "model.codes must be an integer from 2"),
        ({"decoder_dim": 12}, "model.decoder_dim \\(12\\) must be a multiple of 8"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(make, options, told):
    with pytest.raises(ConfigError, match=told):
        make(**options)
