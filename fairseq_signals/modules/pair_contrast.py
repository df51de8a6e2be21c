"""Pairs of two kinds that find each other in a batch, such as ECGs and reports (CLIP, SigLIP).

N pairs; S_ij scores the ECG of pair i with the text of pair j.
"""

import math
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def softmax_loss(scores: Tensor) -> Tensor:
    """Mean over rows and over both directions of -log softmax(S)_ii (CLIP, arXiv:2103.00020, Fig. 3).

    Where texts are alike, and have one vector, loss and gradient are those of the mean over all texts that
    are alike: equal columns have equal probabilities, and so has each its share. MERL (arXiv:2403.06659,
    Eq. 2) takes the sum of both directions.

    Args:
        scores: (N, N).
    """
    own = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def sigmoid_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Mean over rows i of the sum over j of -log sigmoid(y_ij S_ij), y 1 or -1 (SigLIP, arXiv:2303.15343).

    Args:
        scores: (N, N), with the bias.
        same: (N, N) bool, whether pair j has the text of pair i: then y_ij is 1.
    """
    return F.softplus(torch.where(same, -scores, scores)).sum(dim=1).mean()


def prior(n: int) -> float:
    """Log-odds of any two of n ECGs and n texts belonging together, -ln(n - 1); 0 of one pair."""
    return -math.log(max(n - 1, 1))


def softmax_floor(same: Tensor) -> Tensor:
    """The least `softmax_loss`: mean of ln g_i, g_i pairs of the batch having the text of pair i."""
    return same.sum(dim=1).double().log().mean()


@torch.no_grad()
def recalled(scores: Tensor, same: Tensor) -> Tuple[int, int]:
    """How many ECGs have their own text nearest, and how many texts one of their own ECGs.

    Args:
        scores, same: as of `sigmoid_loss`; any pair with the same text is as good.
    """
    of_ecgs = same.gather(1, scores.argmax(dim=1)[:, None])
    of_texts = same.gather(0, scores.argmax(dim=0)[None])
    return int(of_ecgs.sum()), int(of_texts.sum())
