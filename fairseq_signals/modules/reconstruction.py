"""Targets and losses of masked reconstruction (MAE, arXiv:2111.06377, and what ECG papers make of it)."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

TARGETS = ("raw", "standardised", "demeaned", "difference")
GROUPS = ("token", "token_lead")
LOSSES = ("mse", "l1", "smooth_l1")
EPS = 1e-6


def target_of(
    patches: Tensor, kind: str = "raw", group: str = "token", valid: Optional[Tensor] = None
) -> Tensor:
    """What is to be told of each token, (B, N, leads, p) float32; of "difference" (B, N, leads, p - 1).

    "demeaned": less the mean; "standardised": and divided by the root of the unbiased variance plus 1e-6, as
    in the published code of ST-MEM; "difference": of neighbouring samples. A flat token is zeros, if not
    "raw".

    Args:
        patches: (B, N, leads, p) samples of each token.
        group: mean and variance of a "token", or of each of its leads, "token_lead".
        valid: (B, N, leads) bool, the leads that count; None: all do.
    """
    patches = patches.float()
    if kind == "raw":
        return patches
    if kind == "difference":
        return patches.diff(dim=-1)
    weight = (
        torch.ones_like(patches) if valid is None else valid[..., None].expand_as(patches).to(patches.dtype)
    )
    over = (2, 3) if group == "token" else (3,)
    count = weight.sum(dim=over, keepdim=True)
    mean = (patches * weight).sum(dim=over, keepdim=True) / count.clamp(min=1)
    centred = (patches - mean) * weight
    if kind == "demeaned":
        return centred
    variance = centred.square().sum(dim=over, keepdim=True) / (count - 1).clamp(min=1)
    return centred / (variance + EPS).sqrt()


def token_errors(
    prediction: Tensor, target: Tensor, valid: Tensor, loss: str = "mse", beta: float = 1.0
) -> Tensor:
    """The mean error over the numbers of each token that count: (B, N); 0 where none does.

    Args:
        prediction, target: (B, N, leads, p).
        valid: (B, N, leads) bool, the leads that count.
        loss: "mse", "l1" or "smooth_l1".
        beta: of "smooth_l1".
    """
    prediction, target = prediction.float(), target.float()
    if loss == "smooth_l1":
        error = F.smooth_l1_loss(prediction, target, reduction="none", beta=beta)
    else:
        difference = prediction - target
        error = difference.square() if loss == "mse" else difference.abs()
    weight = valid.to(error.dtype)
    return (error.mean(dim=-1) * weight).sum(dim=-1) / weight.sum(dim=-1).clamp(min=1)
