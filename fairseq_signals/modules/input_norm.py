"""Normalisation of the input as part of the model, so that inference and export have it too."""

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

NONE, JOINT, LEAD, FIXED = "none", "joint", "lead", "fixed"
EPS = 1e-6
LARGEST = 5.0
#: Deviations of the leads of PTB-XL, mV, of the folds for training; their means are within 0.002 mV
#: (K. Weimann, T. O. F. Conrad, arXiv:2410.13867, published code).
PTB_XL = (0.191, 0.166, 0.173, 0.142, 0.149, 0.147, 0.235, 0.338, 0.335, 0.299, 0.294, 0.242)


class InputNorm(nn.Module):
    """Standardises segments (B, leads, samples); absent leads and padding become zeros and do not count.

    Args:
        kind: "joint": one mean and deviation over all leads of a segment; "lead": of each by itself; "fixed":
            divided by given deviations, and cut off at five of them.
        deviations: of "fixed", one a lead, mV.
    """

    deviations: Tensor

    def __init__(self, kind: str, deviations: Sequence[float] = PTB_XL):
        super().__init__()
        self.kind = kind
        self.register_buffer("deviations", torch.tensor(deviations)[:, None], persistent=False)

    def forward(self, source: Tensor, lead_present: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        """Normalise.

        Args:
            source: (B, leads, samples) mV.
            lead_present: (B, leads) bool.
            padding_mask: (B, samples) bool, True on padding, or None.
        """
        valid = lead_present[..., None]
        if padding_mask is not None:
            valid = valid & ~padding_mask[:, None]
        if self.kind == FIXED:
            scaled = (source / self.deviations.to(source.dtype)).clamp(-LARGEST, LARGEST)
            return torch.where(valid, scaled, 0.0)
        over = (1, 2) if self.kind == JOINT else (2,)
        valid = valid.expand_as(source)
        count = valid.sum(dim=over, keepdim=True).clamp(min=1)
        x = torch.where(valid, source.float(), 0.0)
        mean = x.sum(dim=over, keepdim=True) / count
        x = torch.where(valid, x - mean, 0.0)
        deviation = (x.square().sum(dim=over, keepdim=True) / count).sqrt()
        return (x / (deviation + EPS)).to(source.dtype)
