"""Tensors across data-parallel workers, with gradients; every function is the identity in one process."""

from typing import Any

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


def gather_rows(x: Tensor, contribute: bool = True) -> Tensor:
    """Rows (N, ...) of every worker, concatenated by rank; differentiable.

    Args:
        x: this worker's rows.
        contribute: if False, this worker takes part but gives no row.
    """
    if world_size() == 1:
        return x
    return _GatherRows.apply(x if contribute else x[:0])


def own_rows(rows: Tensor, n: int) -> Tensor:
    """Of rows that `gather_rows` gave, those of this worker, which contributed `n`."""
    if world_size() == 1:
        return rows
    counts = gather_rows(torch.tensor([n], device=rows.device))
    start = int(counts[: worker_rank()].sum())
    return rows[start : start + n]


def pad_to_longest(x: Tensor) -> Tensor:
    """Frames (N, F, ...) with zeros behind them, up to the largest F of all workers; for `gather_rows`."""
    longest = int(gather_rows(torch.tensor([x.shape[1]], device=x.device)).max())
    return torch.cat([x, x.new_zeros(len(x), longest - x.shape[1], *x.shape[2:])], dim=1)


def mean_over_workers(mean: Tensor, count: int, contribute: bool = True) -> Tensor:
    """The mean over all workers' terms of what is a mean over `count` terms here; differentiable.

    Args:
        mean: (...) this worker's mean.
        count: its number of terms.
        contribute: as in `gather_rows`.
    """
    if world_size() == 1:
        return mean
    counts = gather_rows(mean.new_tensor([count]), contribute)
    totals = gather_rows((mean * count)[None], contribute)
    return totals.sum(dim=0) / counts.sum().clamp(min=1)
