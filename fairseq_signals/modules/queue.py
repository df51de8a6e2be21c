"""A queue of embeddings of earlier batches (SwAV, arXiv:2006.09882, Sec. 3.1)."""

import torch
from torch import Tensor

from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.ema import Float32


class Queue(Float32):
    """The last n rows (n, P) of all data-parallel workers that were added, without gradient.

    Every worker holds the same rows; a checkpoint keeps them.

    Args:
        n: how many.
        dim: P.
    """

    last: Tensor  #: (n, P), the newest one last
    filled: Tensor  #: how many of them were added; the others, which come first, are zeros

    def __init__(self, n: int, dim: int):
        super().__init__()
        self.register_buffer("last", torch.zeros(n, dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def add(self, rows: Tensor, contribute: bool = True) -> None:
        """Append rows (N, P) of every worker; `contribute` as in `gather_rows`."""
        new, n = gather_rows(rows.detach().to(self.last.dtype), contribute), len(self.last)
        self.last.copy_(torch.cat([self.last, new])[-n:])
        self.filled.add_(len(new)).clamp_(max=n)

    def rows(self) -> Tensor:
        """What was added, the oldest one first: (n, P), or fewer before it is full."""
        return self.last[len(self.last) - int(self.filled) :].clone()
