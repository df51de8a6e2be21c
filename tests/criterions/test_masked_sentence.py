"""`masked_sentence` of an auto-encoder of codes: what is told right costs nothing, and each term its form."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.criterions.masked_sentence import MaskedSentenceConfig, MaskedSentenceCriterion
from fairseq_signals.modules.code_tokens import RedrawnSentence, Tokenizer

WORDS = torch.tensor([[[1.0, -1.0], [3.0, 1.0], [9.0, 9.0]]])  # the last one is padding
VALID = torch.tensor([[True, True, False]])
CODES = torch.eye(2)


def cost(told: torch.Tensor, redrawn: torch.Tensor = WORDS, commitment: float = 1.0, n_moved=None):
    """Loss and log a word of words that are told so, whose codes are those of `CODES`."""
    found = RedrawnSentence(
        VALID, torch.tensor([[0, 1, 0]]), 2, torch.zeros(1, 2), WORDS, redrawn, told, CODES, n_moved
    )
    criterion = MaskedSentenceCriterion(MaskedSentenceConfig(commitment=commitment), None)
    loss, n, log = criterion(lambda **_: found, {"id": torch.arange(1), "net_input": {}})
    assert n == 2
    return loss / n, {name: value / n for name, value in log.items()}


def test_words_that_are_their_codes_and_are_redrawn_as_they_are_cost_nothing():
    loss, log = cost(CODES)
    assert loss.item() == 0
    assert log["trivial_loss"].item() == pytest.approx(1)  # each sample is 1 from the mean of both words
    assert "moved_codes" not in log
    assert cost(CODES, n_moved=3)[1]["moved_codes"] == 3


def test_padding_may_be_redrawn_as_anything():
    assert cost(CODES, WORDS + torch.tensor([0.0, 0.0, 5.0])[None, :, None])[0].item() == 0


@pytest.mark.parametrize("commitment", [0.0, 0.25, 1.0])
def test_the_loss_is_the_error_and_the_weighted_distance_from_codes(commitment):
    told = torch.tensor([[0.8, 0.6], [0.0, 1.0]])  # 0.4 and 0 from their codes, squared
    redrawn = WORDS + torch.tensor([0.5, 0.0, 0.0])[None, :, None]
    expected = 0.25 / 2 + commitment * 0.4 / 2
    assert cost(told, redrawn, commitment)[0].item() == pytest.approx(expected)


def test_vectors_that_equal_codes_have_their_numbers_in_order_and_no_distance():
    tokenizer = Tokenizer(4, 5, 4, 0.9).eval()
    tokenizer.to_code = torch.nn.Identity()
    codes = F.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    tokenizer.codebook.codes.copy_(codes)
    number, given, told, quantised = tokenizer.coded(3 * codes[None], torch.ones(1, 5, dtype=torch.bool))
    assert number.tolist() == [[0, 1, 2, 3, 4]]
    torch.testing.assert_close(told, quantised)
    torch.testing.assert_close(given[0], codes)


def test_words_are_drawn_to_their_codes():
    told = torch.tensor([[0.8, 0.6], [0.0, 1.0]], requires_grad=True)
    cost(told, commitment=0.5)[0].backward()
    torch.testing.assert_close(told.grad, 0.5 * (told.detach() - CODES))  # 2 (z - e) / 2 words
