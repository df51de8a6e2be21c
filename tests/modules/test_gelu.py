"""GELU: its gradient is right whatever the layout of the gradient that reaches it."""

import torch
from torch import Tensor

from fairseq_signals.modules.gelu import GELU, gelu


def gradient(x: Tensor, grad: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    gelu(x).backward(grad)
    assert x.grad is not None
    return x.grad


def test_gelu_is_x_times_the_normal_distribution():
    x = torch.linspace(-4, 4, 101)
    expected = x * torch.distributions.Normal(0.0, 1.0).cdf(x)
    torch.testing.assert_close(gelu(x), expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(GELU()(x), gelu(x))


def test_gradient_is_right_when_it_comes_through_a_transpose():
    torch.manual_seed(0)
    x, grad = torch.randn(8, 32, 40), torch.randn(8, 40, 32).transpose(1, 2)
    normal = torch.distributions.Normal(0.0, 1.0)
    expected = grad * (normal.cdf(x) + x * normal.log_prob(x).exp())
    for _ in range(3):  # where it was wrong, it was so by what lay in memory
        torch.testing.assert_close(gradient(x, grad), expected, atol=1e-5, rtol=1e-5)
