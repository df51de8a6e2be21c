"""Dropout that does not dominate a training step on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 2**16
_is_compiling = getattr(torch.compiler, "is_compiling", bool)  # from torch 2.3 on


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Zeros with probability `p`, the rest scaled so that the expectation stays; `x` of any shape.

    PyTorch draws two random words for each element on a CPU, one after the other: of a step at the paper's
    size that is 7 %, on however many cores. Here one draw of 64 bits serves four elements, and `p` is rounded
    to 1/65536. Other devices use PyTorch's.
    """
    n_kept = round((1 - p) * _LEVELS)  # of the values that 16 bits can have
    if not training or n_kept == _LEVELS:
        return x
    if x.device.type != "cpu" or _is_compiling():
        return F.dropout(x, p, training)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    keep = words.view(torch.int16)[: x.numel()].view(x.shape) < n_kept - _LEVELS // 2
    return x * keep.to(x.dtype).mul_(_LEVELS / n_kept if n_kept else 0.0)


class Dropout(nn.Dropout):
    """`dropout` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)
