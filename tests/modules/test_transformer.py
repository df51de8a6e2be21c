"""The context network: positions, attention, norms and layer drop."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.transformer import (
    ConvPositionalEncoding,
    SelfAttention,
    TransformerEncoder,
    TransformerLayer,
)


def shape(**options: object) -> EncoderConfig:
    """Two layers without dropout."""
    sizes = {"encoder_layers": 2, "encoder_embed_dim": 12, "encoder_ffn_embed_dim": 20}
    return EncoderConfig(
        **{**sizes, "encoder_attention_heads": 3, "dropout": 0.0, "attention_dropout": 0.0, **options}
    )


def slow_attention(
    attention: SelfAttention, x: torch.Tensor, padding_mask: torch.Tensor | None
) -> torch.Tensor:
    """Softmax attention (arXiv:1706.03762, Eq. 1), one segment and one head at a time."""
    q, k, v = attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)
    width = x.shape[2] // attention.heads
    rows = []
    for b in range(len(x)):
        heads = []
        for h in range(attention.heads):
            part = slice(h * width, (h + 1) * width)
            scores = q[b, :, part] @ k[b, :, part].T / math.sqrt(width)
            if padding_mask is not None:
                scores[:, padding_mask[b]] = float("-inf")
            heads.append(scores.softmax(dim=1) @ v[b, :, part])
        rows.append(torch.cat(heads, dim=1))
    return attention.out_proj(torch.stack(rows))


@pytest.fixture
def padding_mask() -> torch.Tensor:
    return torch.arange(11) >= torch.tensor([11, 4, 7])[:, None]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 1e-9])  # the second takes the path with dropout, and drops nothing
def test_attention_equals_the_explicit_softmax(padding_mask, padded, dropout):
    torch.manual_seed(0)
    attention = SelfAttention(dim=12, heads=3, dropout=dropout)
    x = torch.randn(3, 11, 12)
    mask = padding_mask if padded else None
    keep = ~padding_mask[:, None, None, :] if padded else None
    assert torch.allclose(attention(x, keep), slow_attention(attention, x, mask), atol=1e-5)


def test_dropout_of_attention_acts_in_training_only():
    torch.manual_seed(0)
    attention, x = SelfAttention(dim=12, heads=3, dropout=0.5), torch.randn(1, 9, 12)
    assert not torch.equal(attention(x, None), attention(x, None))
    attention.eval()
    assert torch.equal(attention(x, None), attention(x, None))


@pytest.mark.parametrize("first", [False, True])
def test_norms_stand_before_or_after_each_sublayer(first):
    torch.manual_seed(0)
    layer = TransformerLayer(shape(layer_norm_first=first))
    x = torch.randn(2, 9, 12)

    def feed(y: torch.Tensor) -> torch.Tensor:
        return layer.fc2(F.gelu(layer.fc1(y)))

    if first:
        middle = x + slow_attention(layer.self_attn, layer.self_attn_layer_norm(x), None)
        expected = middle + feed(layer.final_layer_norm(middle))
    else:
        middle = layer.self_attn_layer_norm(x + slow_attention(layer.self_attn, x, None))
        expected = layer.final_layer_norm(middle + feed(middle))
    assert torch.allclose(layer(x, None), expected, atol=1e-5)


@pytest.mark.parametrize("first", [False, True])
def test_stack_has_one_more_norm_at_its_begin_or_end(first):
    torch.manual_seed(0)
    encoder = TransformerEncoder(shape(layer_norm_first=first))
    x = torch.randn(2, 9, 12)
    expected = x if first else encoder.layer_norm(x)
    for layer in encoder.layers:
        expected = layer(expected, None)
    expected = encoder.layer_norm(expected) if first else expected
    assert torch.equal(encoder(x), expected)


def test_padding_changes_no_valid_frame(padding_mask):
    torch.manual_seed(0)
    encoder = TransformerEncoder(shape()).eval()
    x = torch.randn(3, 11, 12)
    padded = encoder(x, padding_mask)
    for row, n_valid in enumerate((~padding_mask).sum(dim=1)):
        alone = encoder(x[row : row + 1, :n_valid])
        assert torch.allclose(padded[row, :n_valid], alone[0], atol=1e-5)


def test_row_of_nothing_but_padding_gives_numbers_and_gradients(padding_mask):
    encoder = TransformerEncoder(shape())
    padding_mask[1] = True
    encoder(torch.randn(3, 11, 12), padding_mask).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters())


@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_positions_are_a_weight_normed_convolution_of_as_many_frames(kernel):
    torch.manual_seed(0)
    encoding = ConvPositionalEncoding(dim=8, kernel=kernel, groups=2)
    x = torch.randn(2, 10, 8)
    conv = encoding.pos_conv[0]
    gain, direction = (getattr(conv.parametrizations.weight, f"original{i}") for i in (0, 1))
    weight = gain * direction / direction.norm(dim=(0, 1), keepdim=True)  # one gain a tap
    padded = F.pad(x.transpose(1, 2), (kernel // 2, (kernel - 1) // 2))
    expected = F.gelu(F.conv1d(padded, weight, conv.bias, groups=2)).transpose(1, 2)
    assert encoding(x).shape == x.shape
    assert torch.allclose(encoding(x), expected, atol=1e-5)


def test_layer_drop_skips_layers_in_training_only():
    torch.manual_seed(0)
    encoder = TransformerEncoder(shape(encoder_layers=20, encoder_layerdrop=0.4))
    calls: list = []
    for layer in encoder.layers:
        layer.register_forward_hook(lambda *args: calls.append(1))
    x = torch.randn(1, 3, 12)
    for _ in range(20):
        encoder(x)
    assert 180 < len(calls) < 300  # of 400, 240 are expected
    calls.clear()
    encoder.eval()(x)
    assert len(calls) == 20
