"""Leaving out tokens of a sequence, and putting them back (masked autoencoders, arXiv:2111.06377, Sec. 3)."""

from typing import Optional

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
