"""Streams that look at each other: what reaches what, padding, and a stream on its own."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.fusion import Fusion, FusionLayer
from tests.sizes import TINY

D = 16


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    return Fusion(EncoderConfig(**TINY), 2).eval()


def tokens(b, n, seed=0):
    return torch.randn(b, n, D, generator=torch.Generator().manual_seed(seed))


def test_attention_to_a_single_token_is_its_value_whoever_looks():
    torch.manual_seed(0)
    layer = FusionLayer(EncoderConfig(**TINY)).eval()
    x, other = tokens(2, 5), tokens(2, 1, 1)
    found = layer.cross_attn(x, None, other)
    value = layer.cross_attn.out_proj(layer.cross_attn.v_proj(other))
    torch.testing.assert_close(found, value.expand_as(found))


def test_either_stream_depends_on_the_other(fusion):
    ecg, text = tokens(1, 5).requires_grad_(), tokens(1, 3, 1).requires_grad_()
    of_ecg, of_text = fusion(ecg, None, text, None)
    assert torch.autograd.grad(of_ecg[0, 0, 0], text, retain_graph=True)[0].abs().min() > 0
    assert torch.autograd.grad(of_text[0, 0, 0], ecg)[0].abs().min() > 0


def test_both_look_at_what_the_other_was_before_the_layer():
    torch.manual_seed(0)
    fusion = Fusion(EncoderConfig(**TINY), 1).eval()
    ecg, text = tokens(2, 5), tokens(2, 3, 1)
    of_ecg, of_text = fusion(ecg, None, text, None)
    a, b = ecg + fusion.ecg.kind, text + fusion.text.kind
    torch.testing.assert_close(of_ecg, fusion.ecg.layer_norm(fusion.ecg.layers[0](a, None, b, None)))
    torch.testing.assert_close(of_text, fusion.text.layer_norm(fusion.text.layers[0](b, None, a, None)))


def test_padding_of_either_stream_changes_nothing(fusion):
    ecg, text = tokens(2, 5), tokens(2, 3, 1)
    plain = fusion(ecg, None, text, None)
    longer = [torch.cat([x, 9 * tokens(2, 4, 2)], dim=1) for x in (ecg, text)]
    masks = [torch.arange(x.shape[1]).expand(2, -1) >= n for x, n in zip(longer, (5, 3))]
    padded = fusion(longer[0], masks[0], longer[1], masks[1])
    for found, expected, n in zip(padded, plain, (5, 3)):
        torch.testing.assert_close(found[:, :n], expected, atol=1e-5, rtol=1e-5)


def test_a_text_of_nothing_but_padding_gives_finite_numbers(fusion):
    mask = torch.tensor([[True] * 3, [False, True, True]])
    found = fusion(tokens(2, 5), None, tokens(2, 3, 1), mask)
    assert all(torch.isfinite(x).all() for x in found)


def test_a_stream_alone_is_its_layers_without_looking_across(fusion):
    x = tokens(2, 5)
    expected = x + fusion.ecg.kind
    for layer in fusion.ecg.layers:
        expected = layer(expected, None)
    torch.testing.assert_close(fusion.ecg.alone(x), fusion.ecg.layer_norm(expected))
    assert not torch.allclose(fusion.ecg.alone(x), fusion(x, None, tokens(2, 3, 1), None)[0])
