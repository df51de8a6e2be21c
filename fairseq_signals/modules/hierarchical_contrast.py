"""Contrast of the frames of two views at every resolution (TS2Vec, AAAI 2022, arXiv:2106.10466)."""

from typing import Optional

import torch
from torch import Tensor


def hierarchical_loss(
    a: Tensor, b: Tensor, n_frames: Optional[Tensor] = None, alpha: float = 0.5, temperature: float = 1.0
) -> Tensor:
    """The mean over resolutions of `alpha` times the contrast of segments and the rest times that of times.

    Each frame of either view is an anchor, and the same frame of the other view its positive. Among segments
    (Eq. 2) the others are the same frame of all other segments, in both views; among times (Eq. 1) all other
    frames of the same segment, in both views. From one resolution to the next, down to a single frame, two
    frames become the largest value of each channel, and a last one without partner is left out. Products are
    not normalised.

    Padding is no anchor and compared with nothing, and a coarse frame that has padding in it is padding:
    segments that all end together have the loss of the batch cut there.

    Args:
        a, b: (N, F, P) frames of the two views of N segments, in the same order.
        n_frames: (N,) frames of each segment before its padding; None = all.
        alpha: weight of the contrast of segments.
        temperature: what products are divided by; 1 in TS2Vec.
    """
    z = torch.stack([a, b])  # (2, N, F, P)
    if n_frames is None:
        n_frames = torch.full((a.shape[0],), a.shape[1], device=a.device)
    losses = []
    while z.shape[2]:
        valid = torch.arange(z.shape[2], device=z.device) < n_frames[:, None]  # (N, F)
        if not valid.any():
            break
        segments = pair_terms(z.permute(2, 0, 1, 3), valid.T, temperature)  # (F, 2, N)
        frames = pair_terms(z.permute(1, 0, 2, 3), valid, temperature)  # (N, 2, F)
        terms = alpha * segments.permute(2, 1, 0) + (1 - alpha) * frames
        losses.append(terms.permute(1, 0, 2)[:, valid].mean())
        z = z[:, :, : z.shape[2] // 2 * 2].unflatten(2, (-1, 2)).amax(dim=3)
        n_frames = n_frames // 2
    return torch.stack(losses).mean()


def pair_terms(z: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """-log softmax of each row's pair among all other rows of its group: (G, 2, M).

    Args:
        z: (G, 2, M, P) for G groups of M pairs of rows.
        valid: (G, M) bool; pairs that are not are compared with nothing, and their terms mean nothing.
        temperature: what products are divided by.
    """
    rows = z.flatten(1, 2)  # (G, 2 M, P)
    logits = rows @ rows.transpose(1, 2) / temperature
    compared = valid.repeat(1, 2)[:, None] & ~torch.eye(rows.shape[1], dtype=torch.bool, device=z.device)
    # finite, so that rows which are compared with nothing have a gradient of 0
    total = logits.masked_fill(~compared, torch.finfo(logits.dtype).min).logsumexp(dim=2)
    pair = (z[:, 0] * z[:, 1]).sum(dim=-1) / temperature  # (G, M)
    return total.unflatten(1, (2, -1)) - pair[:, None]
