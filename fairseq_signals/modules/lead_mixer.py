"""From the frames of each present lead to those of a segment, whatever leads there are and in any order.

A mixer takes the frames of the N present leads of a batch, (N, F, C), and gives those of its segments,
(B, F, C).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.present_leads import PresentLeads
from fairseq_signals.modules.transformer import SelfAttention


class MeanMixer(nn.Module):
    """A network of each lead by itself, which makes its name and its frames one, and the mean over leads."""

    def __init__(self, dim: int, rounds: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(_FeedForward(dim, dropout) for _ in range(rounds))

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return leads.mean(leads.grouped(x))


class AttentionMixer(nn.Module):
    """Self-attention among the leads of a frame, as in a pre-norm Transformer, and the mean over leads."""

    def __init__(self, dim: int, rounds: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(_AttentionRound(dim, dropout) for _ in range(rounds))

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        for layer in self.layers:
            x = layer(x, leads)
        return leads.mean(leads.grouped(x))


class MessageMixer(nn.Module):
    """Messages between the leads of a frame (contrastive random lead coding, arXiv:2410.19842).

    In each round m_ij = ReLU(dropout(W [h_i; h_j] + b)) / (C - 1) goes from lead i to lead j of C, and h_j
    becomes h_j + sum_i m_ij. The readout is a network of the mean over leads: the authors' published code
    gives it the sum, which grows with the number of leads.
    """

    def __init__(self, dim: int, rounds: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(_MessageRound(dim, dropout) for _ in range(rounds))
        self.readout = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        for layer in self.layers:
            x = layer(x, leads)
        return self.readout(leads.mean(leads.grouped(x)))


class _FeedForward(nn.Sequential):
    """The feed-forward part of a pre-norm layer."""

    def __init__(self, dim: int, dropout: float):
        super().__init__(
            nn.LayerNorm(dim),
            nn.Linear(dim, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, dim),
            nn.Dropout(dropout),
        )


class _LeadAttention(SelfAttention):
    """Among the leads of a frame: arrays of (N, F, C), but for the attention itself."""

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:  # type: ignore[override]
        b, m = leads.valid.shape
        _, f, c = x.shape
        # (N, F, C) -> (B, F, heads, M, C / heads)
        q, k, v = (
            leads.grouped(proj(x)).view(b, m, f, self.heads, c // self.heads).permute(0, 2, 3, 1, 4)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        absent = torch.zeros_like(leads.valid, dtype=q.dtype).masked_fill(~leads.valid, -math.inf)
        # the fused kernels take no more than 65,535 frames at a time
        weights = (q * (c // self.heads) ** -0.5) @ k.transpose(3, 4)
        weights = (weights + absent[:, None, None, None, :]).softmax(dim=-1)
        y = F.dropout(weights, self.dropout, self.training) @ v
        return self.out_proj(leads.packed(y.permute(0, 3, 1, 2, 4).reshape(b, m, f, c)))


class _AttentionRound(nn.Module):
    def __init__(self, dim: int, dropout: float):
        super().__init__()
        heads = next(n for n in (8, 4, 2, 1) if dim % n == 0)
        self.norm, self.attention = nn.LayerNorm(dim), _LeadAttention(dim, heads, dropout)
        self.feed_forward = _FeedForward(dim, dropout)

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        x = x + self.attention(self.norm(x), leads)
        return x + self.feed_forward(x)


class _MessageRound(nn.Module):
    """W [h_i; h_j] is V h_i + W h_j, so that both products are made once a lead and not once a pair."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.sender, self.receiver = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim)
        self.dropout = dropout

    def forward(self, h: Tensor, leads: PresentLeads) -> Tensor:
        sent, received = self.sender(h), self.receiver(h)
        p = self.dropout if self.training else 0.0
        total = 0 * (sent + received)  # so that all weights have a gradient where each segment has one lead
        for shift in range(1, leads.valid.shape[1]):
            sender, is_other = leads.next(shift)
            message = sent.index_select(0, sender).add_(received)
            # ReLU and dropout at once: the gradient takes a byte of each number, not three copies of it
            passes = message > 0
            passes &= is_other[:, None, None]
            if p > 0:
                passes &= torch.rand_like(message) >= p
            total += message.mul_(passes)
        return h + total / ((leads.counts() - 1).clamp(min=1) * (1 - p))[:, None, None].to(h.dtype)


MIXERS = {"mean": MeanMixer, "attention": AttentionMixer, "message": MessageMixer}
