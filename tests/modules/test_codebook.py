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


def test_codes_move_by_what_does_not_stay_and_what_equals_a_code_has_its_number_at_no_distance():
    """By hand: two codes at right angles, two points each, of which a fifth is taken."""
    book = Codebook(2, 2, 0.8)
    book.codes.copy_(torch.eye(2))
    book.started.fill_(True)
    codes, number = book(torch.tensor([[2.0, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]]))
    assert number.tolist() == [0, 0, 1, 1]
    assert torch.equal(codes[[0, 2]], torch.eye(2))
    mean = torch.tensor([1.8, 0.6]) / 3.6**0.5  # of [1, 0] and [0.8, 0.6], of length 1
    moved = F.normalize(0.8 * torch.tensor([1.0, 0]) + 0.2 * mean, dim=0)
    assert torch.allclose(book.codes, torch.stack([moved, moved.flip(0)]), atol=1e-6)
    assert torch.equal(book.eval()(book.codes)[0], book.codes)
    assert book.nearest(book.codes).tolist() == [0, 1]


def test_a_code_that_nothing_uses_becomes_the_row_that_is_farthest_from_all():
    book = Codebook(3, 3, 0.9, patience=2)
    book.codes.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, -1]]))
    book.started.fill_(True)
    rows = F.normalize(torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 1]]), dim=1)
    book(rows)
    assert book.n_moved == 0
    assert torch.equal(book.codes[2], torch.tensor([0.0, 0, -1]))
    book(rows)
    assert book.n_moved == 1
    assert torch.allclose(book.codes[2], rows[2])
    book(rows)
    assert book.n_moved == 0  # it is in use
    assert "idle" not in book.state_dict()


def test_a_codebook_of_no_patience_moves_nothing():
    book = Codebook(3, 3, 0.9)
    book(torch.eye(3)[:1].repeat(3, 1))
    before = book.codes.clone()
    for _ in range(5):
        book(torch.eye(3)[:1])
    assert book.n_moved == 0
    assert torch.equal(book.codes[1:], before[1:])
