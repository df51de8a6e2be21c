"""The convolution through Fourier space beside PyTorch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.fft_convolution import fft_convolution


@pytest.mark.parametrize("kernel", [1, 2, 5, 16, 127, 128])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("frames", [1, 7, 156])
def test_values_and_gradients_are_those_of_the_direct_form(kernel, groups, frames):
    torch.manual_seed(0)
    inputs = [torch.randn(3, 12, frames), torch.randn(12, 12 // groups, kernel), torch.randn(12)]
    results = []
    for convolve in (
        lambda x, w, b: fft_convolution(x, w, b, groups),
        lambda x, w, b: F.conv1d(x, w, b, padding=kernel // 2, groups=groups),
    ):
        leaves = [t.clone().requires_grad_() for t in inputs]
        y = convolve(*leaves)
        (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
        results.append([y, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*results):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=2e-6 * float(theirs.detach().abs().max() + 1))
