"""A teacher that is its student's exponential moving average (Mean Teacher, arXiv:1703.01780)."""

import copy
import math
from collections.abc import Sequence
from typing import Any, Callable

import torch
from torch import Tensor, nn

from fairseq_signals.modules.mlp_head import WorkerBatchNorm

SCHEDULES = ("constant", "linear", "cosine")
_HALVES = (torch.float16, torch.bfloat16)


def momentum_at(
    update: int, start: float, schedule: str = "constant", total: int = 0, end: float = 1.0
) -> float:
    """The momentum m after `update` of `total` updates: `start` at 0, and `end` from `total` on.

    linear: start + (end - start) t / T; cosine: end - (end - start) (1 + cos(pi t / T)) / 2; constant: start.
    """
    if schedule == "constant":
        return start
    share = min(update / total, 1.0)
    if schedule == "linear":
        return start + (end - start) * share
    return end - (end - start) * (1 + math.cos(math.pi * share)) / 2


class Float32(nn.Module):
    """Base of modules that stay in float32 where the rest of a model becomes float16 or bfloat16."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        def keep(value: Tensor) -> Tensor:
            moved = fn(value)
            return value.to(moved.device) if moved.dtype in _HALVES else moved

        return super()._apply(keep, recurse)


class EMATeacher(Float32):
    """Copies of parts of a student, whose parameters are moving averages of the student's.

    Every parameter is averaged, t <- m t + (1 - m) s. In float16 or bfloat16 steps of a large m would vanish,
    so that the teacher is in float32 whatever the student is in. It has no gradient, and is in evaluation
    mode always, but for `WorkerBatchNorm`: that takes the batch's statistics in training (BYOL, MoCo v3), and
    its running ones are of what the teacher was given, not the student.

    Args:
        student: what it follows; is not kept.
        parts: names of the student's submodules, which are the teacher's too.
        momentum: m of the update with this number, from 0.
    """

    last_update: Tensor  #: number of the update that it stepped after; of a resumed run too

    def __init__(self, student: nn.Module, parts: Sequence[str], momentum: Callable[[int], float]):
        super().__init__()
        self.momentum = momentum
        for name in parts:
            part = copy.deepcopy(getattr(student, name))
            for module in part.modules():
                # compiled or checkpointed, and then bound to the student's parameters
                module.__dict__.pop("forward", None)
            self.add_module(name, part)
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.data = tensor.data.float() if tensor.dtype in _HALVES else tensor.data
        self.register_buffer("last_update", torch.zeros((), dtype=torch.long))
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, part: str, *args: Any, **kwargs: Any) -> Any:
        """What one of its parts makes of its arguments."""
        return getattr(self, part)(*args, **kwargs)

    @torch.no_grad()
    def follow(self, student: nn.Module, num_updates: int) -> bool:
        """Step once after each update of the student; gives whether it did.

        fairseq says `num_updates` before every micro-batch of an update. A number below the last one is of
        another run, which begins with this model.
        """
        last = int(self.last_update)
        if num_updates == last:
            return False
        self.last_update.fill_(num_updates)
        if num_updates < last:
            return False
        new = 1 - self.momentum(num_updates - 1)
        for name, part in self.named_children():
            followed = getattr(student, name)
            for own, other in zip(part.parameters(), followed.parameters()):
                own.lerp_(other.to(own.dtype), new)
        return True

    def train(self, mode: bool = True) -> Any:
        """Training or evaluation mode of batch normalisation alone."""
        super().train(False)
        for module in self.modules():
            if isinstance(module, WorkerBatchNorm):
                module.train(mode)
        return self
