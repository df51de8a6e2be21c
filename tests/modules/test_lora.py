"""Adapters: where they begin, what they add, and what they fold into."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.lora import LoRALinear, add_adapters, fold_adapters

RANK, ALPHA = 3, 12.0


@pytest.fixture
def layer():
    """`layer(**options)`: a linear layer of 5 to 4 with an adapter that is not zero, in evaluation mode."""

    def make(**options: float) -> LoRALinear:
        adapted = LoRALinear(nn.Linear(5, 4), RANK, ALPHA, **options).eval()
        nn.init.normal_(adapted.lora_b)
        return adapted

    return make


def test_an_adapter_adds_its_low_rank_product_alpha_over_r_times(layer):
    adapted, x = layer(), torch.randn(2, 7, 5)
    by_hand = torch.stack(
        [adapted.weight @ v + adapted.bias + ALPHA / RANK * adapted.lora_b @ (adapted.lora_a @ v)
         for v in x.view(-1, 5)]
    )  # fmt: skip
    assert torch.allclose(adapted(x).view(-1, 4), by_hand, atol=1e-6)


def test_dropout_acts_on_the_adapter_alone(layer):
    adapted, x = layer(dropout=1 - 1e-9), torch.randn(8, 5)
    assert torch.equal(adapted.train()(x), nn.functional.linear(x, adapted.weight, adapted.bias))
    assert not torch.equal(adapted.eval()(x), adapted.train()(x))


def test_an_encoder_with_new_adapters_is_the_encoder_bit_for_bit(tiny, ecg_batch):
    encoder = ECGEncoder(EncoderConfig(**tiny)).eval()
    before, keys = encoder(ecg_batch()).x, encoder.state_dict()
    add_adapters(encoder, RANK, ALPHA, targets="qkvo")
    assert torch.equal(encoder(ecg_batch()).x, before)
    added = encoder.state_dict().keys() - keys.keys()
    assert len(added) == tiny["encoder_layers"] * 4 * 2
    assert keys.keys() <= encoder.state_dict().keys()


@pytest.mark.parametrize("targets", ["qv", "qkvo", "k"])
def test_folded_weights_give_the_output_with_adapters(tiny, ecg_batch, targets):
    plain = ECGEncoder(EncoderConfig(**tiny)).eval()
    encoder = ECGEncoder(EncoderConfig(**tiny)).eval()
    add_adapters(encoder, RANK, ALPHA, targets=targets)
    for name, parameter in encoder.named_parameters():
        if name.endswith("lora_b"):
            nn.init.normal_(parameter, std=0.2)
    plain.load_state_dict(fold_adapters(encoder.state_dict(), ALPHA))
    with torch.no_grad():
        difference = (plain(ecg_batch()).x - encoder(ecg_batch()).x).abs().max()
        plain.load_state_dict(fold_adapters(encoder.state_dict(), 0.0))
        assert (plain(ecg_batch()).x - encoder(ecg_batch()).x).abs().max() > 1e-4
    assert difference < 1e-6


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (None, (4, 3), "lacks one of lora_a, lora_b and weight"),
        ((3, 6), (4, 3), r"lora_a \(3, 6\) and lora_b \(4, 3\) do not fit weight \(4, 5\)"),
        ((3, 5), (4, 2), "do not fit"),
        ((0, 5), (4, 0), "do not fit"),
        ((5,), (4, 3), "do not fit"),
    ],
)
def test_an_adapter_that_fits_no_weight_is_named(a, b, message):
    shapes = {"layer.weight": (4, 5), "layer.lora_a": a, "layer.lora_b": b}
    state = {key: torch.zeros(shape) for key, shape in shapes.items() if shape is not None}
    with pytest.raises(ValueError, match=f"^layer.* {message}" if a is None else message):
        fold_adapters(state, ALPHA)
