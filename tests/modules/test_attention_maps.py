"""Attention weights computed again: they give what the fast kernels give, and their rollout stays a mean."""

import pytest
import torch

from fairseq_signals.modules.attention_maps import attention_maps, attention_weights, rollout
from fairseq_signals.modules.cross_pattern import cross_pattern
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.transformer import SelfAttention


def test_weights_times_values_are_the_attention():
    torch.manual_seed(0)
    attention, x = SelfAttention(8, 2, 0.0).eval(), torch.randn(3, 5, 8)
    weights = attention_weights(attention, x)
    values = attention.v_proj(x).view(3, 5, 2, 4).transpose(1, 2)
    expected = attention.out_proj((weights @ values).transpose(1, 2).reshape(3, 5, 8))
    torch.testing.assert_close(attention(x, None), expected)


@pytest.mark.parametrize("layer_norm_first", [False, True])
def test_there_is_a_map_of_each_layer_and_the_encoder_is_left_as_it_was(tiny, ecg_batch, layer_norm_first):
    torch.manual_seed(0)
    encoder = ECGEncoder(EncoderConfig(**tiny, layer_norm_first=layer_norm_first)).eval()
    source = ecg_batch(2)
    before = encoder(source).x
    maps = attention_maps(encoder, source)
    assert [tuple(layer.shape) for layer in maps] == [(2, 2, 20, 20)] * 2
    for layer in maps:
        torch.testing.assert_close(layer.sum(dim=-1), torch.ones(2, 2, 20))
    assert not any(module._forward_pre_hooks for module in encoder.modules())
    assert torch.equal(encoder(source).x, before)


def test_what_a_token_may_not_attend_to_has_no_weight(tiny, ecg_batch):
    torch.manual_seed(0)
    options = {"frontend": "lead_patch", "patch_samples": 80, "lead_encoding": "tokens", "position": "sincos"}
    cfg = EncoderConfig(**{**tiny, **options}, attention="cross_pattern", registers=1)
    present = torch.zeros(2, 12, dtype=torch.bool)
    present[0, :3] = present[1, :2] = True
    maps = attention_maps(ECGEncoder(cfg).eval(), ecg_batch(2), present)
    allowed = cross_pattern(12, 4, n_extra=1).repeat(2, 1, 1)
    allowed[1, :, -4:] = False  # the third lead, which the second segment lacks
    for layer in maps:
        torch.testing.assert_close(layer.sum(dim=-1), torch.ones(2, 2, 13))
        assert torch.equal(layer.amax(dim=1) > 0, allowed)


def test_rollout_multiplies_layers_and_keeps_half_of_each_frame():
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    torch.testing.assert_close(rollout([swap])[0], torch.full((2, 2), 0.5))
    stay = torch.eye(2)[None, None]
    torch.testing.assert_close(rollout([stay, stay])[0], torch.eye(2))
    torch.manual_seed(0)
    first, second = (torch.randn(1, 3, 4, 4).softmax(dim=-1) for _ in range(2))
    a, b = (0.5 * layer.mean(dim=1) + 0.5 * torch.eye(4) for layer in (first, second))
    torch.testing.assert_close(rollout([first, second]), b @ a)
