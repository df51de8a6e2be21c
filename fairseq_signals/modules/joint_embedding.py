"""Losses between embeddings of several views of a segment, with and without a teacher.

VICReg (arXiv:2105.04906), BYOL (arXiv:2006.07733), MoCo v3 (arXiv:2104.02057), SwAV (arXiv:2006.09882), and
the coding rate of SimDINO (arXiv:2502.10385). All are computed in float32.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_signals.errors import ConfigError


class VICReg(NamedTuple):
    """The three terms of two views, each a scalar; see `vicreg_terms`."""

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def vicreg_terms(a: Tensor, b: Tensor, least: float = 1.0, eps: float = 1e-4) -> VICReg:
    """Mean squared distance, hinge of deviations, squares of covariances, of (N, P) (Eq. 1, 3 to 5).

    Variance and covariance are the sums of both views'; the authors' code halves the former.

    Args:
        a, b: row by row views of one segment.
        least: deviation that each column shall have.
        eps: added to variances.

    Raises:
        ConfigError: there is but one row.
    """
    if len(a) < 2:
        raise ConfigError(
            f"variances are of two segments or more, but a batch has {len(a)}: raise dataset.batch_size, or "
            "choose it so that no single segment is left at the end of an epoch"
        )
    a, b = a.float(), b.float()
    hinges = sum(F.relu(least - (z.var(dim=0) + eps).sqrt()).mean() for z in (a, b))
    return VICReg(F.mse_loss(a, b), torch.as_tensor(hinges), covariance_term(a) + covariance_term(b))


def covariance_term(z: Tensor) -> Tensor:
    """Sum of squared unbiased covariances between columns of (N, P), divided by P (Eq. 4)."""
    z = z - z.mean(dim=0)
    covariance = z.T @ z / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def byol_costs(q: Tensor, k: Tensor) -> Tensor:
    """2 - 2 cos of rows: (N, P) and (N, P) -> (N,) (Eq. 2); `k` should have no gradient."""
    return 2 - 2 * F.cosine_similarity(q.float(), k.float(), dim=-1)


def moco_loss(q: Tensor, k: Tensor, temperature: float) -> Tensor:
    """2 t times the cross entropy of each row's cosine with its own key among all keys (Alg. 1)."""
    logits = F.normalize(q.float(), dim=-1) @ F.normalize(k.float(), dim=-1).T / temperature
    return 2 * temperature * F.cross_entropy(logits, torch.arange(len(q), device=q.device))


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Shares of K prototypes in each of B rows, such that all prototypes are used alike: (B, K) -> (B, K).

    Rows sum to 1; the more iterations, the nearer are the sums of columns to B / K.
    """
    b, k = scores.shape
    shares = ((scores.float() - scores.max()) / epsilon).exp().T  # (K, B)
    shares = shares / shares.sum()
    for _ in range(iterations):
        shares = shares / (shares.sum(dim=1, keepdim=True) * k)
        shares = shares / (shares.sum(dim=0, keepdim=True) * b)
    return (shares * b).T


def swav_costs(scores: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """Cross entropy of predictions with the codes of another view: (N, K), (N, K) -> (N,) (Eq. 2)."""
    return -(codes * (scores.float() / temperature).log_softmax(dim=-1)).sum(dim=-1)


def coding_rate(z: Tensor, eps: float) -> Tensor:
    """1/2 log det(I + d / (N eps^2) Z^T Z) of rows (N, d), largest where they spread (Eq. 3)."""
    z = z.float()
    n, d = z.shape
    return 0.5 * torch.logdet(torch.eye(d, device=z.device, dtype=z.dtype) + d / (n * eps**2) * (z.T @ z))


def by_view(z: Tensor, segment_row: Tensor, view: Tensor) -> Tensor:
    """Rows (N, ...) as (V, S, ...): of each of V views those of S segments, in one order.

    Raises:
        ValueError: segments have not as many views each.
    """
    counts = torch.bincount(view)
    if (counts != counts[0]).any():
        raise ValueError(f"segments must have as many views each, but rows of views are {counts.tolist()}")
    order = torch.argsort(view * (segment_row.max() + 1) + segment_row)
    return z[order].unflatten(0, (len(counts), -1))
