"""A codebook that follows what it is given (arXiv:1711.00937, App. A.1; on the sphere, as in HeartLang)."""

from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.ema import Float32

FIRST_STEPS = 10  #: of k-means, on the first batch


class Codebook(Float32):
    """K codes of length 1: a row is of the nearest by its angle.

    Args:
        n: K.
        dim: d.
        momentum: share of a code that stays.
    """

    codes: Tensor
    started: Tensor

    def __init__(self, n: int, dim: int, momentum: float):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("codes", F.normalize(torch.randn(n, dim), dim=1))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def nearest(self, rows: Tensor) -> Tensor:
        """The number of each row's code: (..., d) -> (...)."""
        return (F.normalize(rows.float(), dim=-1) @ self.codes.T).argmax(dim=-1)

    @torch.no_grad()
    def forward(self, rows: Tensor, contribute: bool = True) -> Tuple[Tensor, Tensor]:
        """The codes of rows (N, d), and their numbers (N,); in training the codes then follow the rows.

        Args:
            contribute: as of `gather_rows`.
        """
        if not self.training:
            number = self.nearest(rows)
            return self.codes[number], number
        every = gather_rows(F.normalize(rows.float(), dim=1), contribute)
        if len(every) and not self.started:
            self.start(every)
        number = self.nearest(rows)
        codes = self.codes[number]
        self.follow(every, self.momentum)
        return codes, number

    def start(self, rows: Tensor) -> None:
        """Codes from rows (N, d) by k-means, which begins with rows at equal distances."""
        chosen = torch.linspace(0, len(rows) - 1, min(len(self.codes), len(rows)), device=rows.device)
        self.codes[: len(chosen)] = rows[chosen.long()]
        for _ in range(FIRST_STEPS):
            self.follow(rows, 0.0)
        self.started.fill_(True)

    def follow(self, rows: Tensor, momentum: float) -> None:
        """Move each code to the mean of its rows, unit vectors (N, d); one without any stays."""
        number = self.nearest(rows)
        sums = torch.zeros_like(self.codes).index_add_(0, number, rows)
        counts = torch.bincount(number, minlength=len(self.codes))
        moved = momentum * self.codes + (1 - momentum) * F.normalize(sums, dim=1)
        self.codes.copy_(torch.where(counts[:, None] > 0, F.normalize(moved, dim=1), self.codes))
