"""Texts to vectors: whatever they are padded to, and however often they come."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.positions import sinusoids
from fairseq_signals.modules.text_encoder import PAD, TextConfig, text_encoder
from tests.sizes import TINY

TEXTS = torch.tensor([[0, 7, 9, 2], [0, 8, 2, PAD], [0, 7, 9, 2]])


@pytest.fixture
def make():
    def build(**options: object) -> torch.nn.Module:
        torch.manual_seed(0)
        return text_encoder(TextConfig(**{"vocab_size": 12, **options}), EncoderConfig(**TINY))

    return build


def test_the_longest_text_of_a_batch_does_not_change_the_others(make):
    tower = make().eval()
    with torch.no_grad():
        alone = tower(TEXTS[1:2, :3])
        torch.testing.assert_close(tower(TEXTS)[1:2], alone, rtol=1e-5, atol=1e-6)
        padded = torch.nn.functional.pad(TEXTS, (0, 5), value=PAD)
        torch.testing.assert_close(tower(padded), tower(TEXTS), rtol=1e-5, atol=1e-6)


def test_the_order_of_pieces_matters(make):
    tower = make().eval()
    with torch.no_grad():
        one, other = tower(torch.tensor([[0, 7, 9, 2], [0, 9, 7, 2]]))
    assert not torch.allclose(one, other, atol=1e-3)


def test_without_layers_a_text_is_the_mean_of_its_pieces_and_places(make):
    tower = make(text_layers=0).eval()
    with torch.no_grad():
        x = tower.embedding(TEXTS[1:2, :3]) * 4 + sinusoids(torch.arange(3), 16)
        expected = tower.encoder.layer_norm(x).mean(dim=1)
        torch.testing.assert_close(tower(TEXTS)[1:2], expected)


def test_texts_that_are_alike_have_one_vector_with_dropout_too(make):
    tower = make().train()
    x = tower(TEXTS)
    assert torch.equal(x[0], x[2])
    assert not torch.equal(x, tower(TEXTS))


def test_given_vectors_go_through_two_layers_in_place_of_pieces(make):
    tower = make(vocab_size=0, text_vector_dim=5)
    vectors = torch.randn(3, 5)
    first, _, second = tower
    expected = second(torch.nn.functional.gelu(first(vectors)))
    torch.testing.assert_close(tower(vectors), expected)
    assert expected.shape == (3, 16)


@pytest.mark.parametrize("options", [{"vocab_size": 0}, {"text_vector_dim": 5}])
def test_texts_are_pieces_or_vectors(make, options):
    with pytest.raises(ConfigError, match=r"model\.vocab_size=.* and model\.text_vector_dim="):
        make(**options)


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(ConfigError, match=r"model\.encoder_attention_heads=12"):
        text_encoder(TextConfig(vocab_size=9), EncoderConfig(encoder_embed_dim=16))
