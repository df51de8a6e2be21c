"""What single layers give, and the learnt mix of all of them."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig

N_LAYERS = 3
each_order = pytest.mark.parametrize("layer_norm_first", [False, True])


@pytest.fixture
def make(tiny):
    """`make(**options)`: an encoder of three layers, the same for the same shape."""

    def build(**options: object) -> ECGEncoder:
        torch.manual_seed(0)
        return ECGEncoder(EncoderConfig(**{**tiny, "encoder_layers": N_LAYERS, **options})).eval()

    return build


def by_hand(encoder: ECGEncoder, source: torch.Tensor) -> list:
    """The input of the first layer and the output of each layer."""
    x = encoder.project(encoder.layer_norm(encoder.latent_frames(source)))
    x = x + encoder.conv_pos(x)
    norm_first = encoder.cfg.layer_norm_first
    found = [x if norm_first else encoder.encoder.layer_norm(x)]
    for layer in encoder.encoder.layers:
        found.append(layer(found[-1], None))
    return [*found[:-1], encoder.encoder.layer_norm(found[-1])] if norm_first else found


@each_order
def test_a_layer_is_given_by_its_number_and_the_last_by_default(make, ecg_batch, layer_norm_first):
    encoder, source = make(layer_norm_first=layer_norm_first), ecg_batch()
    expected = by_hand(encoder, source)
    for number, y in enumerate(encoder.each_layer(source)):
        assert torch.equal(y, expected[number])
        assert torch.equal(encoder(source, layer=number).x, expected[number])
    assert number == N_LAYERS
    assert torch.equal(encoder(source).x, expected[-1])
    for wrong in (-1, N_LAYERS + 1):
        with pytest.raises(ValueError, match=f"layer must be from 0 to 3, but is {wrong} instead"):
            encoder(source, layer=wrong)


@each_order
def test_the_mix_is_the_mean_at_first_and_then_weighted_by_a_softmax(make, ecg_batch, layer_norm_first):
    encoder, source = make(layer_norm_first=layer_norm_first, layer_mix=True), ecg_batch()
    expected = torch.stack(by_hand(encoder, source))
    assert torch.allclose(encoder(source).x, expected.mean(dim=0), atol=1e-6)
    share = torch.tensor([0.1, 0.2, 0.3, 0.4])
    encoder.encoder.layer_mix.data = 5 + share.log()
    assert torch.allclose(encoder(source).x, torch.einsum("l,lbfd->bfd", share, expected), atol=1e-6)
    assert torch.equal(encoder(source, layer=1).x, expected[1])


def test_padding_is_as_little_in_the_mix_as_in_the_layers(make, ecg_batch):
    encoder, source = make(layer_mix=True), ecg_batch()
    padding = (torch.arange(source.shape[2]) >= 160).expand(len(source), -1)
    source[:, :, 160:] = 0.0
    mixed = encoder(source, padding).x
    layers = [encoder(source, padding, layer=number).x for number in range(N_LAYERS + 1)]
    assert torch.allclose(mixed, torch.stack(layers).mean(dim=0), atol=1e-6)


def test_the_mix_learns_the_same_in_chunks(make, ecg_batch):
    gradients = []
    for chunk in (0, 2):
        encoder = make(layer_mix=True, encoder_chunk=chunk).train()
        encoder(ecg_batch()).x.pow(3).sum().backward()
        gradients.append(encoder.encoder.layer_mix.grad)
    assert bool(gradients[0].all())
    assert torch.allclose(*gradients, atol=1e-3)
    assert abs(float(gradients[0].sum())) < 1e-3 * float(gradients[0].abs().sum())  # of a softmax


def test_without_a_mix_an_encoder_has_no_more_parameters_than_before(make):
    added = make(layer_mix=True).state_dict().keys() - make().state_dict().keys()
    assert added == {"encoder.layer_mix"}
