"""Attention within a lead and within a time alone (S. Kim, arXiv:2410.08559)."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_pattern(
    n_tokens: int,
    n_frames: int,
    keep: Optional[Tensor] = None,
    n_extra: int = 0,
    device: Optional[torch.device] = None,
) -> Tensor:
    """Which tokens of a grid, lead after lead, each may attend to: (B, E + k, E + k) bool.

    Args:
        n_tokens: M F, of all leads.
        n_frames: F.
        keep: (B, k) the tokens that there are; None: all, and B = 1.
        n_extra: E tokens before them, which all attend to and which attend to all.
    """
    token = torch.arange(n_tokens, device=device)[None] if keep is None else keep
    lead, frame = token // n_frames, token % n_frames
    allowed = (lead[:, :, None] == lead[:, None]) | (frame[:, :, None] == frame[:, None])
    return F.pad(allowed, (n_extra, 0, n_extra, 0), value=True)
