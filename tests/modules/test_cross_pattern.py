"""Attention within a lead and within a time."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.modules.cross_pattern import cross_pattern
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig

GRID = {"frontend": "lead_patch", "patch_samples": 20, "lead_encoding": "tokens", "position": "sincos_2d"}


def test_two_leads_of_three_times():
    rows = ["".join(str(int(allowed)) for allowed in row) for row in cross_pattern(6, 3)[0]]
    assert rows == ["111100", "111010", "111001", "100111", "010111", "001111"]


def test_each_token_attends_to_its_lead_and_its_time():
    allowed = cross_pattern(8 * 50, 50)
    assert (allowed.sum(dim=2) == 50 + 8 - 1).all()


def test_of_tokens_that_are_kept_it_is_cut_out_of_the_whole():
    keep = torch.tensor([[0, 3, 4], [1, 2, 5]])
    whole = cross_pattern(6, 3)[0]
    assert torch.equal(cross_pattern(6, 3, keep), torch.stack([whole[row][:, row] for row in keep]))


def test_extra_tokens_attend_to_all():
    allowed = cross_pattern(6, 3, n_extra=2)[0]
    assert allowed[:2].all()
    assert allowed[:, :2].all()
    assert torch.equal(allowed[2:, 2:], cross_pattern(6, 3)[0])


@pytest.mark.parametrize("layers", [1, 2])
def test_a_layer_brings_news_of_the_same_lead_and_time_and_two_of_all(tiny, ecg_batch, layers):
    torch.manual_seed(0)
    options = {
        **tiny,
        **GRID,
        "encoder_layers": layers,
        "layer_norm_first": True,
        "attention": "cross_pattern",
    }
    encoder, source = ECGEncoder(EncoderConfig(**options)).eval(), ecg_batch(1)
    changed = source.clone()
    changed[0, 3, 7 * 20 : 8 * 20] += 50
    differs = (encoder(source).x - encoder(changed).x).abs().amax(dim=2).view(12, 16) > 0
    expected = torch.zeros(12, 16, dtype=torch.bool)
    expected[3], expected[:, 7] = True, True
    assert torch.equal(differs, expected if layers == 1 else torch.ones_like(expected))
