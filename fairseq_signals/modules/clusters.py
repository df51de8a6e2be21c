"""Clusters of frames, whose numbers are what a model is to tell (HuBERT, arXiv:2106.07447, Sec. II)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_signals.modules.distributed import gather_rows, own_rows
from fairseq_signals.modules.ema import Float32
from fairseq_signals.modules.front_end import patches_of
from fairseq_signals.modules.joint_embedding import sinkhorn


def frame_statistics(source: Tensor, stride: int, n_frames: Any) -> Tensor:
    """Mean, range, and last less first sample of each lead in each frame: (B, leads, T) -> (B, F, 3 leads).

    Frame f is of the samples from f `stride` on, `stride` of them.
    """
    patches = patches_of(source, stride)[:, :n_frames]
    spread = patches.amax(dim=3) - patches.amin(dim=3)
    return torch.cat([patches.mean(dim=3), spread, patches[..., -1] - patches[..., 0]], dim=2)


class Clusters(Float32):
    """K centres of standardised features of d numbers: a frame is of the nearest.

    Args:
        n: K.
        dim: d.
    """

    centres: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, n: int, dim: int):
        super().__init__()
        self.register_buffer("centres", torch.zeros(n, dim))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    @torch.no_grad()
    def forward(self, features: Tensor) -> Tensor:
        """The number of each frame's cluster: (B, F, d) -> (B, F)."""
        x = (features.float() - self.mean) / self.deviation
        distances = self.centres.square().sum(dim=1) - 2 * x @ self.centres.T
        return distances.argmin(dim=-1)


def followed(prototypes: Tensor, frames: Tensor, shares: Tensor, momentum: float) -> Tensor:
    """Unit prototypes (K, D), a step nearer to the mean of unit frames (N, D) that each shares, (N, K).

    One that shares none stays as it is.
    """
    means = F.normalize(shares.T @ frames, dim=1)
    return F.normalize(prototypes.lerp(means, 1 - momentum), dim=1)


class OnlineClusters(Float32):
    """K prototypes that follow the frames given, all used alike (after HuBERT++, arXiv:2605.12241).

    Args:
        n: K.
        dim: D, of frames.
        momentum: share of a prototype that stays.
    """

    prototypes: Tensor

    def __init__(self, n: int, dim: int, momentum: float):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("prototypes", F.normalize(torch.randn(n, dim), dim=1))

    @torch.no_grad()
    def forward(self, frames: Tensor, contribute: bool = True) -> Tensor:
        """Shares of the prototypes in each frame, (N, D) -> (N, K), and a step of the prototypes in training.

        Args:
            frames: (N, D).
            contribute: as of `gather_rows`.
        """
        x = F.normalize(frames.float(), dim=1)
        every = gather_rows(x, contribute)
        shares = sinkhorn(every @ self.prototypes.T)
        if self.training:
            self.prototypes.copy_(followed(self.prototypes, every, shares, self.momentum))
        own = own_rows(shares, len(x) if contribute else 0)  # every worker takes part
        return own if contribute else sinkhorn(x @ self.prototypes.T)
