"""Distillation without labels: prototypes, their centre, a student's costs (DINO, arXiv:2104.14294)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.ema import Float32


def dino_costs(
    student: Tensor, teacher: Tensor, centre: Tensor, student_temp: float = 0.1, teacher_temp: float = 0.04
) -> Tensor:
    """-sum over K of P_T log P_S: (..., K) and (..., K) -> (...), in float32 (Eq. 1, 2 and 4).

    P_T = softmax((teacher - centre) / teacher_temp), P_S = softmax(student / student_temp).
    """
    target = ((teacher.float() - centre) / teacher_temp).softmax(dim=-1)
    return -(target * (student.float() / student_temp).log_softmax(dim=-1)).sum(dim=-1)


def cosine_costs(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine of vectors: (..., P) and (..., P) -> (...), in float32."""
    return 1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1)


class Prototypes(nn.Module):
    """Cosine of each row with K learnt directions: (N, P) -> (N, K)."""

    def __init__(self, dim: int, n: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n, dim))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


class Centre(Float32):
    """What is subtracted from the teacher's logits, lest one prototype takes all (Eq. 4).

    c <- m c + (1 - m) x the mean of all logits of an update: of all its micro-batches and workers. It stays
    as it is within an update, so that micro-batches make no difference.
    """

    value: Tensor  #: c, (K,)
    waiting: Tensor  #: (K + 1,) sum of this update's logits so far, and their number

    def __init__(self, n: int, momentum: float = 0.9):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(n))
        self.register_buffer("waiting", torch.zeros(n + 1))

    @torch.no_grad()
    def add(self, logits: Tensor, contribute: bool = True) -> None:
        """Take note of the teacher's logits (..., K); `contribute` as in `gather_rows`."""
        rows = logits.float().flatten(0, -2)
        own = torch.cat([rows.sum(dim=0), rows.new_tensor([len(rows)])])
        self.waiting += gather_rows(own[None], contribute).sum(dim=0)

    @torch.no_grad()
    def step(self) -> None:
        """Follow what was added since the last step, if anything was."""
        total, count = self.waiting[:-1], self.waiting[-1]
        mean = torch.where(count > 0, total / count.clamp(min=1), self.value)
        self.value.lerp_(mean, 1 - self.momentum)
        self.waiting.zero_()
