"""Branches that are left out at random: what stays is the same on average."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.transformer import DropPath

Q, DRAWS = 0.3, 4000


def test_the_mean_over_draws_is_the_branch_itself():
    x = torch.full((DRAWS, 2, 3), 1.7)
    rows = DropPath(Q).train()(x)
    assert torch.equal(rows.amax(dim=(1, 2)), rows.amin(dim=(1, 2)))  # a row as a whole
    assert rows.unique().tolist() == pytest.approx([0.0, 1.7 / (1 - Q)])
    sigma = 1.7 * (Q / (1 - Q) / DRAWS) ** 0.5
    assert abs(rows[:, 0, 0].mean().item() - 1.7) < 3 * sigma


def test_nothing_is_left_out_in_evaluation_or_where_the_probability_is_zero():
    x = torch.randn(5, 2, 3)
    assert torch.equal(DropPath(Q).eval()(x), x)
    assert torch.equal(DropPath(0.0).train()(x), x)


@pytest.fixture
def make(tiny):
    """`make(drop_path)`: an encoder of four layers, without other randomness."""

    def build(drop_path: float) -> ECGEncoder:
        torch.manual_seed(0)
        return ECGEncoder(EncoderConfig(**{**tiny, "encoder_layers": 4, "drop_path": drop_path}))

    return build


def test_its_probability_grows_from_layer_to_layer(make):
    rates = [layer.drop_path.probability for layer in make(0.3).encoder.layers]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_an_encoder_without_it_is_bit_for_bit_what_it_was_and_with_it_in_evaluation(make, ecg_batch):
    plain, source = make(0.0), ecg_batch(2)
    torch.manual_seed(1)
    after = plain.train()(source).x, torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after[1], torch.rand(1))  # nothing is drawn
    assert torch.equal(after[0], plain.eval()(source).x)
    dropping = make(0.5)
    assert torch.equal(dropping.eval()(source).x, after[0])
    assert not torch.equal(dropping.train()(source).x, after[0])
