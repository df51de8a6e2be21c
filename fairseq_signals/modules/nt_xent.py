"""NT-Xent: each row of a batch finds its positives among all other rows (SimCLR, arXiv:2002.05709, Eq. 1)."""

from typing import Tuple

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
    log_softmax = similarities(z, temperature).log_softmax(dim=1)
    # the diagonal is -inf, and 0 x -inf no number
    sums = torch.where(positive, log_softmax, torch.zeros_like(log_softmax)).sum(dim=1)
    anchors = count > 0
    return -(sums[anchors] / count[anchors]).mean()


def similarities(z: Tensor, temperature: float = 1.0) -> Tensor:
    """Cosines of all pairs of rows (N, D), divided by the temperature; -inf of a row with itself: (N, N)."""
    z = F.normalize(z.float(), dim=-1)
    eye = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return (z @ z.T / temperature).masked_fill(eye, float("-inf"))


def without_diagonal(pairs: Tensor) -> Tensor:
    """A copy of (N, N) bool in which no row is paired with itself."""
    return pairs & ~torch.eye(len(pairs), dtype=torch.bool, device=pairs.device)


@torch.no_grad()
def nearest_is_positive(z: Tensor, positive: Tensor) -> Tuple[Tensor, Tensor]:
    """Anchors whose nearest other row is one of their positives, and all that have a positive; two counts."""
    positive = without_diagonal(positive)
    anchors = positive.any(dim=1)
    if not anchors.any():
        return anchors.sum(), anchors.sum()
    nearest = similarities(z).argmax(dim=1, keepdim=True)
    right = positive.gather(1, nearest)[:, 0]
    return right.sum(), anchors.sum()
