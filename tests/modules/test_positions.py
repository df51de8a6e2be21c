"""Sines and cosines of positions."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.positions import TablePositions, sinusoids
from fairseq_signals.modules.present_leads import PresentLeads
from fairseq_signals.modules.token_decoder import LeadDecoder, TokenDecoder

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


def without_branches(module: torch.nn.Module) -> torch.nn.Module:
    """The module with layers that change nothing, and no norm after them."""
    for layer in module.encoder.layers:
        for linear in (layer.self_attn.out_proj, layer.fc2):
            torch.nn.init.zeros_(linear.weight)
    module.encoder.layer_norm = torch.nn.Identity()
    return module.eval()


GRID = {"frontend": "lead_patch", "patch_samples": 20, "lead_encoding": "tokens"}


@torch.no_grad()
@pytest.mark.parametrize("options", [{**GRID, "position": "sincos_2d"}, {**GRID, "position": "sincos"}, {}])
def test_layers_that_change_nothing_give_the_input_and_the_positions_once_a_layer(tiny, ecg_batch, options):
    chosen = {"position": "sincos", **tiny, **options, "layer_norm_first": True, "encoder_layers": 3}
    torch.manual_seed(0)
    encoder = without_branches(ECGEncoder(EncoderConfig(**chosen, position_every_layer=True, registers=2)))
    source = ecg_batch(2)
    x = encoder.project(encoder.layer_norm(encoder.latent_frames(source)))
    leads = PresentLeads.of(torch.ones(2, 12, dtype=torch.bool)) if encoder.per_lead else None
    expected = x + 3 * encoder.table_pos.of_tokens(x, leads)
    if options.get("position") == "sincos":
        expected = expected + encoder.names_of(leads, x).repeat_interleave(16, dim=1)
    found = encoder(source)
    assert torch.allclose(found.x, expected, atol=1e-5)
    assert torch.equal(found.extra, encoder.extra_tokens.registers.expand(2, -1, -1))  # which have no place
    keep = torch.tensor([[1, 5, 7], [0, 2, 9]])
    assert torch.allclose(
        encoder(source, keep=keep).x, expected.take_along_dim(keep[..., None], 1), atol=1e-5
    )


@torch.no_grad()
def test_a_predictor_can_have_its_positions_in_every_layer_too():
    torch.manual_seed(0)
    keep, x = torch.tensor([[0, 1, 2, 3, 4, 5]]), torch.randn(1, 6, 8)
    place = sinusoids(torch.arange(3), 8).repeat(2, 1)
    options = {"dim": 8, "width": 8, "layers": 2, "heads": 2, "n_out": 4, "every_layer": True}
    joint = without_branches(TokenDecoder(**options))
    assert torch.allclose(
        joint(x, keep, 6, lead=torch.tensor([[0, 1]])), joint.head(joint.embed(x) + 2 * place), atol=1e-5
    )
    by_lead = without_branches(LeadDecoder(**options))
    found = by_lead.of_leads(x, keep, 2, 3, separators=torch.randn(1, 4, 8))
    assert torch.allclose(found, by_lead.head(by_lead.embed(x) + 2 * place), atol=1e-5)


@pytest.mark.parametrize("position", ["conv", "none"])
def test_positions_that_are_no_vectors_cannot_be_added_in_every_layer(tiny, position):
    with pytest.raises(ConfigError, match=f"model.position={position} has none"):
        ECGEncoder(EncoderConfig(**{**tiny, "position": position, "position_every_layer": True}))


def test_leads_that_positions_tell_have_no_learnt_vectors(tiny):
    encoder = ECGEncoder(EncoderConfig(**{**tiny, **GRID, "position": "sincos_2d"}))
    assert not [name for name in encoder.state_dict() if "lead_names" in name]
