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
        patience: steps without a row after which a code becomes one of the rows; 0: it waits.

    Attributes:
        n_moved: codes that the last step gave up for a row.
    """

    codes: Tensor
    started: Tensor
    idle: Tensor

    def __init__(self, n: int, dim: int, momentum: float, patience: int = 0):
        super().__init__()
        self.momentum, self.patience, self.n_moved = momentum, patience, 0
        self.register_buffer("codes", F.normalize(torch.randn(n, dim), dim=1))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.register_buffer("idle", torch.zeros(n, dtype=torch.long), persistent=False)

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
        used = self.follow(every, self.momentum)
        if self.patience:
            self.move(every, used)
        return codes, number

    def start(self, rows: Tensor) -> None:
        """Codes from rows (N, d) by k-means, which begins with rows at equal distances."""
        chosen = torch.linspace(0, len(rows) - 1, min(len(self.codes), len(rows)), device=rows.device)
        self.codes[: len(chosen)] = rows[chosen.long()]
        for _ in range(FIRST_STEPS):
            self.follow(rows, 0.0)
        self.started.fill_(True)

    def follow(self, rows: Tensor, momentum: float) -> Tensor:
        """Move each code to the mean of its rows, unit vectors (N, d); one without any stays.

        Returns:
            (K,) bool, True of codes that have a row.
        """
        number = self.nearest(rows)
        sums = torch.zeros_like(self.codes).index_add_(0, number, rows)
        counts = torch.bincount(number, minlength=len(self.codes))
        moved = momentum * self.codes + (1 - momentum) * F.normalize(sums, dim=1)
        self.codes.copy_(torch.where(counts[:, None] > 0, F.normalize(moved, dim=1), self.codes))
        return counts > 0

    def move(self, rows: Tensor, used: Tensor) -> None:
        """Make codes that have been idle too long the rows (N, d) that are the farthest from any code."""
        self.idle.add_(1).masked_fill_(used, 0)
        idle = (self.idle >= self.patience).nonzero()[:, 0][: len(rows)]
        nearest = (rows @ self.codes.T).amax(dim=1)
        self.codes[idle] = rows[nearest.topk(len(idle), largest=False).indices]
        self.idle[idle] = 0
        self.n_moved = len(idle)
