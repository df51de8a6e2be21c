"""Absolute positions of tokens: sines and cosines, or learnt vectors."""

from typing import Any, Optional

import torch
from torch import Tensor, nn

from fairseq_signals.modules.present_leads import PresentLeads

BASE = 10_000.0


def sinusoids(position: Tensor, dim: int) -> Tensor:
    """Sines and cosines of positions (...,): (..., D), first all sines, then all cosines.

    Channels i and D / 2 + i are of t w_i, w_i = 10000^(-2 i / D) (Vaswani et al. 2017, whose order of
    channels is another).
    """
    rate = BASE ** (-torch.arange(0, dim, 2, dtype=torch.float64, device=position.device) / dim)
    angle = position[..., None].to(torch.float64) * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1).float()


class TablePositions(nn.Module):
    """A vector for each frame, and each lead where tokens are of leads.

    Args:
        cfg: any object with the attributes of `EncoderConfig`.
    """

    def __init__(self, cfg: Any):
        super().__init__()
        self.kind, self.dim, self.table = cfg.position, cfg.encoder_embed_dim, None
        if cfg.position == "learned":
            self.table = nn.Parameter(torch.empty(cfg.max_positions, self.dim).normal_(std=0.02))

    def forward(self, n_frames: Any, like: Tensor, lead: Optional[Tensor] = None) -> Tensor:
        """Of frames 0 to F - 1: (F, D), or with leads (B, M, F, D).

        Args:
            n_frames: F; of a table at most as many as it has.
            like: of the device and type that the vectors have.
            lead: (B, M) the lead of each token of a frame; with "sincos_2d" only.
        """
        if self.table is not None:
            return self.table[:n_frames].to(like.dtype)
        frames = torch.arange(n_frames, device=like.device)
        if self.kind != "sincos_2d" or lead is None:
            return sinusoids(frames, self.dim).to(like.dtype)
        of_time = sinusoids(frames, self.dim // 2).expand(*lead.shape, -1, -1)
        of_lead = sinusoids(lead, self.dim // 2)[:, :, None].expand_as(of_time)
        return torch.cat([of_time, of_lead], dim=-1).to(like.dtype)

    def of_tokens(self, x: Tensor, leads: Optional[PresentLeads] = None) -> Tensor:
        """Of tokens (B, N, D), of all leads or of each of those that are present: (N, D) or (B, N, D)."""
        if leads is None:
            return self(x.shape[1], x)
        n_leads = leads.valid.shape[1]
        found = self(x.shape[1] // n_leads, x, leads.grouped(leads.lead))
        return found.repeat(n_leads, 1) if found.dim() == 2 else found.flatten(1, 2)
