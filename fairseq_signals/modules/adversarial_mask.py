"""Masks that a second network makes, where they hide most (J. Y. Bo et al., arXiv:2211.07889, after ADIOS,
arXiv:2201.13100)."""

import math
from itertools import pairwise
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS, KERNEL, STRIDE = 4, 7, 4
STEEPNESS = 50.0
LEAST = 0.01  #: distance that a share keeps from where its penalty is infinite


class MaskNetwork(nn.Module):
    """A small U-Net over time: signals (B, L, T) -> N masks m (B, N, T) from 0 to 1, where 1 hides.

    One mask, or one for each lead, is a sigmoid; other numbers of masks are a softmax over them, and share
    out the samples.

    Args:
        n_leads: L.
        n_masks: N.
        width: channels of the first level; each of the others has twice as many, and a fourth of the length.
    """

    def __init__(self, n_leads: int, n_masks: int, width: int):
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS)]
        self.shared_out = n_masks not in (1, n_leads)
        levels = [n_leads, *widths]
        self.down = nn.ModuleList(_convolution(n, wider, STRIDE) for n, wider in pairwise(levels))
        outputs = [n_masks, *widths]
        self.up = nn.ModuleList(
            _convolution(wider + n, n_out) for n, n_out, wider in zip(levels, outputs, widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        levels = [x]
        for layer in self.down:
            levels.append(F.gelu(layer(levels[-1])))
        y = levels.pop()
        for n, layer in reversed(list(enumerate(self.up))):
            beside = levels.pop()
            y = layer(torch.cat([F.interpolate(y, size=beside.shape[2]), beside], dim=1))
            y = F.gelu(y) if n else y
        return y.softmax(dim=1) if self.shared_out else y.sigmoid()


def _convolution(n: int, n_out: int, stride: int = 1) -> nn.Conv1d:
    return nn.Conv1d(n, n_out, KERNEL, stride, padding=KERNEL // 2)


def binarised(mask: Tensor) -> Tensor:
    """Masks m nearly as 0 or 1, with a gradient: 1 / (1 + exp(-50 (m - 1/2)))."""
    return torch.sigmoid(STEEPNESS * (mask - 0.5))


def drawn(masks: Tensor, n_leads: int) -> Tensor:
    """Of N masks (B, N, T) one of each segment, at random: (B, 1, T); those of leads stay (B, L, T)."""
    b, n, _ = masks.shape
    if n in (1, n_leads):
        return masks
    return masks[torch.arange(b), torch.randint(n, (b,))][:, None]


def masked_shares(
    masks: Tensor, padding_mask: Optional[Tensor] = None, lead_present: Optional[Tensor] = None
) -> Tensor:
    """The mean over time of each mask (B, N, T), binarised: (B, N) float32; NaN, of an absent lead.

    Its gradient is that of the mean of m: through what is nearly 0 or 1 there would be none.

    Args:
        padding_mask: (B, T) bool, True on padding, which does not count; or None.
        lead_present: (B, L) bool, or None.
    """
    masks = masks.float()
    masks = masks + (binarised(masks) - masks).detach()
    shares = masks.mean(dim=2)
    if padding_mask is not None:
        valid = (~padding_mask)[:, None]
        shares = (masks * valid).sum(dim=2) / valid.sum(dim=2).clamp(min=1)
    if lead_present is None or lead_present.shape != shares.shape:
        return shares
    return shares.masked_fill(~lead_present, math.nan)


def share_penalty(shares: Tensor, preferred: float) -> Tensor:
    """Sum over N masks of the mean of 1 / sin(pi share / (2 preferred)): (B, N) -> a scalar, at least N.

    It is least where a share is the preferred one, and infinite where all or nothing is masked (with
    preferred = 1/2). Nearer there than 0.01 it stays what it is at that distance, and so does its slope. NaN
    does not count.
    """
    valid = ~shares.isnan()
    shares = torch.where(valid, shares, torch.full_like(shares, preferred))
    inside = shares + (shares.clamp(LEAST, min(1.0, 2 * preferred) - LEAST) - shares).detach()
    costs = valid / torch.sin(math.pi / (2 * preferred) * inside)
    return (costs.sum(dim=0) / valid.sum(dim=0).clamp(min=1)).sum()
