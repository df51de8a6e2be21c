"""Tensors across data-parallel workers, with gradients; every function is the identity in one process."""

import contextlib
from collections.abc import Iterator
from typing import Any, Tuple

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of data-parallel workers."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def worker_rank() -> int:
    """This data-parallel worker's number, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def wait_for_workers() -> None:
    """Return when all data-parallel workers have come here."""
    if world_size() > 1:
        dist.barrier()


_own_rows_count = True


@contextlib.contextmanager
def contributing_no_rows() -> Iterator[None]:
    """Within it, this worker takes part in every exchange but gives nothing to it."""
    global _own_rows_count
    _own_rows_count = False
    try:
        yield
    finally:
        _own_rows_count = True


class _GatherRows(torch.autograd.Function):
    """All workers' rows, in rank order; a row's gradient is the sum of what the workers have for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        sizes = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(world_size())]
        dist.all_gather(sizes, torch.tensor([len(x)], dtype=torch.long, device=x.device))
        counts = [int(size) for size in sizes]
        padded = x.new_zeros(max(counts), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.start = sum(counts[: dist.get_rank()])
        ctx.rows = len(x)
        return torch.cat([part[:count] for part, count in zip(parts, counts)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad)
        return grad[ctx.start : ctx.start + ctx.rows]


def gather_rows(x: Tensor) -> Tensor:
    """Rows (N, ...) of every worker, concatenated by rank; differentiable."""
    if world_size() == 1:
        return x
    return _GatherRows.apply(x if _own_rows_count else x[:0])


def mean_over_workers(total: Tensor, count: Any) -> Tuple[Tensor, Tensor]:
    """Sum of `total` over workers divided by the sum of `count`, and that count; differentiable in `total`.

    Args:
        total: (...) this worker's sum.
        count: this worker's number of terms.
    """
    count = torch.as_tensor(count, dtype=total.dtype, device=total.device).reshape(1)
    count = gather_rows(count).sum()
    return gather_rows(total[None]).sum(dim=0) / count.clamp(min=1), count
