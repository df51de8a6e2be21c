"""Sines and cosines of positions."""

from __future__ import annotations

import torch

from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.positions import TablePositions, sinusoids

HALVES = [0.141120, 0.295520, 0.029996, 0.003000, -0.989992, 0.955336, 0.999550, 0.999996]
INTERLEAVED = [0.141120, -0.989992, 0.295520, 0.955336, 0.029996, 0.999550, 0.003000, 0.999996]
OF_TIME_AND_LEAD = [0.141120, 0.029996, -0.989992, 0.999550, -0.958924, 0.049979, 0.283662, 0.998750]


def test_position_three_of_width_eight():
    found = sinusoids(torch.tensor(3), 8)
    assert torch.allclose(found, torch.tensor(HALVES), atol=1e-6)
    # the order of channels of the paper is another, and nothing else
    assert torch.allclose(found.view(2, 4).T.flatten(), torch.tensor(INTERLEAVED), atol=1e-6)


def test_half_of_the_channels_are_of_time_and_half_of_the_lead():
    table = TablePositions(EncoderConfig(position="sincos_2d", encoder_embed_dim=8))
    found = table(4, torch.zeros(()), torch.tensor([[5, 2]]))
    assert found.shape == (1, 2, 4, 8)
    assert torch.allclose(found[0, 0, 3], torch.tensor(OF_TIME_AND_LEAD), atol=1e-6)
    assert len(found[0].flatten(0, 1).unique(dim=0)) == 8
