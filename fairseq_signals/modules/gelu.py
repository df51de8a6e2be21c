"""GELU that trains rightly from gradients of any memory layout."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function


class _ContiguousGradient(Function):
    """The identity, whose gradient is contiguous."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad.contiguous()


def gelu(x: Tensor) -> Tensor:
    """GELU of a tensor of any shape.

    PyTorch 2.1 on CPU takes a gradient that is not contiguous (as after a `transpose`) for one that is, and
    gives garbage up to 1e30; so the gradient is made contiguous first.
    """
    return _ContiguousGradient.apply(F.gelu(x))


class GELU(nn.Module):
    """`gelu` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x)
