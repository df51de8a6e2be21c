"""A codebook on the sphere."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.codebook import Codebook


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(shape[0] * shape[1], dtype=torch.float32) + offset).view(shape)


@pytest.fixture
def codebook() -> Codebook:
    book = Codebook(3, 2, 0.99)
    book.codes.copy_(F.normalize(sines(3, 2, offset=0.25), dim=1))
    book.started.fill_(True)
    return book


def test_codes_follow_their_rows_and_those_without_rows_stay(codebook):
    before = codebook.codes.clone()
    codes, number = codebook(sines(4, 2, offset=1.0))
    assert number.tolist() == [0, 2, 2, 0]
    assert torch.equal(codes, before[number])
    expected = torch.tensor([[0.256143, 0.966639], [-0.719744, -0.694240]])
    assert torch.allclose(codebook.codes[[0, 2]], expected, atol=1e-6)
    assert torch.equal(codebook.codes[1], before[1])


def test_in_evaluation_codes_stay(codebook):
    before = codebook.codes.clone()
    codebook.eval()(sines(4, 2, offset=1.0))
    assert torch.equal(codebook.codes, before)


def test_the_first_batch_makes_the_codes():
    centres = F.normalize(torch.randn(4, 16), dim=1)
    rows = centres.repeat(25, 1) + 0.01 * torch.randn(100, 16)
    book = Codebook(4, 16, 0.99)
    _, number = book(rows)
    assert torch.equal(number, number[:4].repeat(25))
    assert number[:4].unique().tolist() == [0, 1, 2, 3]
    assert torch.allclose(book.codes[number[:4]], centres, atol=0.02)
    book = Codebook(8, 16, 0.99)
    book(rows[:3])  # fewer rows than codes
    assert torch.allclose(book.codes.norm(dim=1), torch.ones(8))


def test_codes_stay_in_float32():
    assert Codebook(3, 2, 0.9).half().codes.dtype == torch.float32
