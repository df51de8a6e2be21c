"""NT-Xent: each row of a batch finds its positives among all other rows (SimCLR, arXiv:2002.05709, Eq. 1)."""

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent_loss(z: Tensor, positive: Tensor, temperature: float) -> Tensor:
    """Mean over anchors of the mean over an anchor's positives of -log softmax.

    For an anchor i and its positive j, with s the cosine and t the temperature:
    -log exp(s_ij / t) / sum over all k other than i of exp(s_ik / t). The sum holds the anchor's other
    positives too, as in SimCLR, where there is one, and in supervised contrastive learning
    (arXiv:2004.11362, L_out of Eq. 2), where there are several. Rows without a positive are anchors of no
    term, but remain in the sums of the others. Without any positive the loss is 0 (with a zero gradient).

    Args:
        z: (N, D) embeddings, normalised here.
        positive: (N, N) bool, symmetric; the diagonal is not looked at.
        temperature: softmax temperature, > 0.
    """
    positive = without_diagonal(positive)
    count = positive.sum(dim=1)
    if not count.any():
        return z.float().sum() * 0.0
    others = without_diagonal(torch.ones_like(positive))
    logits = (cosines(z) / temperature).masked_fill(~others, float("-inf"))
    log_softmax = logits.log_softmax(dim=1)
    # the diagonal is -inf, and 0 x -inf no number
    sums = torch.where(positive, log_softmax, torch.zeros_like(log_softmax)).sum(dim=1)
    anchors = count > 0
    return -(sums[anchors] / count[anchors]).mean()


def cosines(z: Tensor) -> Tensor:
    """Cosine of every row of (N, D) with every row, in float32: (N, N); 0 where a row is all zeros."""
    z = F.normalize(z.float(), dim=-1, eps=1e-8)
    return z @ z.T


def without_diagonal(pairs: Tensor) -> Tensor:
    """A copy of (N, N) bool in which no row is paired with itself."""
    return pairs & ~torch.eye(len(pairs), dtype=torch.bool, device=pairs.device)


@torch.no_grad()
def nearest_is_positive(z: Tensor, positive: Tensor, compared: Optional[Tensor] = None) -> Tuple[int, int]:
    """Anchors whose nearest other row is one of their positives, and all that have a positive; two counts.

    Args:
        z: (N, D) embeddings.
        positive: (N, N) bool.
        compared: (N, N) bool, the rows among which the nearest is looked for; None = all others.
    """
    positive = without_diagonal(positive)
    anchors = positive.any(dim=1)
    if not anchors.any():
        return 0, 0
    compared = without_diagonal(torch.ones_like(positive) if compared is None else compared)
    nearest = cosines(z).masked_fill(~compared, float("-inf")).argmax(dim=1, keepdim=True)
    right = positive.gather(1, nearest)
    return int(right.sum()), int(anchors.sum())
