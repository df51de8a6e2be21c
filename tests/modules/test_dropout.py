"""Dropout: zeros at the asked rate, an unbiased and differentiable rest, repeatable from the seed."""

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.dropout import Dropout, dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400, 251), (1001, 100)])  # elements that four do and do not divide
def test_zeros_come_at_the_rate_and_the_rest_keeps_the_expectation(p, shape):
    torch.manual_seed(0)
    y = dropout(torch.ones(shape), p, True)
    n = y.numel()
    assert abs((y == 0).float().mean().item() - p) < 4 * (p * (1 - p) / n) ** 0.5
    kept = y[y != 0]
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert kept[0].item() == pytest.approx(1 / (1 - p), rel=1e-4)


def test_neighbours_and_rows_are_independent():
    torch.manual_seed(0)
    zero = (dropout(torch.ones(64, 4096), 0.5, True) == 0).float()
    correlation = torch.corrcoef(zero)
    assert (correlation - torch.eye(64)).abs().max() < 5 / 4096**0.5
    for step in (1, 2, 3, 4, 8):  # four elements share a random word
        agree = (zero[:, step:] == zero[:, :-step]).float().mean().item()
        assert agree == pytest.approx(0.5, abs=0.005)


def test_the_gradient_is_that_of_what_was_kept():
    torch.manual_seed(0)
    x = torch.randn(33, 7, requires_grad=True)
    y = dropout(x, 0.3, True)
    y.sum().backward()
    assert torch.allclose(x.grad * x, y, atol=1e-6)
    assert 0 < (x.grad == 0).float().mean() < 1


def test_it_is_repeated_from_the_same_seed_only():
    layer, x = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_it_keeps_the_dtype(dtype):
    assert dropout(torch.ones(10, dtype=dtype), 0.5, True).dtype is dtype


def test_nothing_happens_in_evaluation_and_everything_is_dropped_at_1():
    x = torch.randn(5, 5)
    assert dropout(x, 0.5, False) is x
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(dropout(x, 1.0, True), F.dropout(x, 1.0, True))
    assert dropout(x[:0], 0.5, True).shape == (0, 5)
