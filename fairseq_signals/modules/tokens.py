"""Leaving out tokens of a sequence, and putting them back (masked autoencoders, arXiv:2111.06377, Sec. 3)."""

from typing import Optional, Tuple

import torch
from torch import Tensor


def take(x: Tensor, index: Tensor) -> Tensor:
    """The tokens of (B, N, ...) at indices (B, k): (B, k, ...)."""
    return x.take_along_dim(index.view(*index.shape, *(1,) * (x.dim() - 2)), dim=1)


def restore(x: Tensor, keep: Tensor, n_tokens: int, mask_token: Tensor) -> Tensor:
    """A whole sequence (B, N, D) with tokens (B, k, D) at indices (B, k), and `mask_token` (D,) elsewhere."""
    whole = mask_token.to(x.dtype).expand(x.shape[0], n_tokens, x.shape[2])
    return whole.scatter(1, keep[..., None].expand_as(x), x)


def is_kept(keep: Tensor, n_tokens: int) -> Tensor:
    """(B, N) bool, True at indices (B, k)."""
    return torch.zeros(keep.shape[0], n_tokens, dtype=torch.bool, device=keep.device).scatter(1, keep, True)


def others(keep: Tensor, n_tokens: int) -> Tensor:
    """The indices that are not among (B, k), sorted: (B, N - k)."""
    return (~is_kept(keep, n_tokens)).nonzero()[:, 1].view(keep.shape[0], n_tokens - keep.shape[1])


def taken(mask: Optional[Tensor], index: Tensor) -> Optional[Tensor]:
    """`take` of a mask (B, N), or None without one."""
    return None if mask is None else take(mask, index)


def common_run(padding: Optional[Tensor], n_frames: int) -> Tuple[int, Tensor]:
    """A run of frames that are no padding, as many in each row and anywhere in it.

    Args:
        padding: (B, leads x frames) bool, True on padding and absent leads; None: there is none.

    Returns:
        Their number, that of the shortest row, but 2 at least, so that one is kept and one masked; and the
        first one of each row, (B, 1), or (1, 1) without padding.
    """
    if padding is None:
        return n_frames, torch.zeros(1, 1, dtype=torch.long)
    count = (~padding).view(len(padding), -1, n_frames).any(dim=1).sum(dim=1, keepdim=True).cpu()
    n = min(max(int(count.min()), 2), n_frames)
    free = (count - n).clamp(min=0)
    return n, (torch.rand(free.shape) * (free + 1)).long() if free.any() else free


def placed(index: Tensor, n: int, first: Tensor, n_frames: int) -> Tensor:
    """Indices (B, k) on a grid of n frames, as on one of `n_frames`, where it begins at `first` (B, 1)."""
    return index // n * n_frames + index % n + first
