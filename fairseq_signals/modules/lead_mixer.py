"""From the frames of each present lead to those of a segment, whatever leads there are and in any order.

A mixer takes the frames of the N present leads of a batch, (N, F, C), and gives those of its segments,
(B, F, C).
"""

from typing import Any

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
        heads = next(n for n in (8, 4, 2, 1) if dim % n == 0)
        self.layers = nn.ModuleList(_AttentionRound(dim, heads, dropout) for _ in range(rounds))

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        x = leads.grouped(x)
        b, m, f, c = x.shape
        # (B, M, F, C) -> (B F, M, C)
        x = x.transpose(1, 2).reshape(b * f, m, c)
        keep = leads.valid.repeat_interleave(f, dim=0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, keep)
        return leads.mean(x.view(b, f, m, c).transpose(1, 2))


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
        h = leads.grouped(x)
        for layer in self.layers:
            h = layer(h, leads)
        return self.readout(leads.mean(h))


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


class _AttentionRound(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(dim), SelfAttention(dim, heads, dropout)
        self.feed_forward = _FeedForward(dim, dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x), keep)
        return x + self.feed_forward(x)


class _MessageRound(nn.Module):
    """W [h_i; h_j] is V h_i + W h_j, so that both products are made once a lead and not once a pair."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.sender, self.receiver = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim)
        self.dropout = dropout

    def forward(self, h: Tensor, leads: PresentLeads) -> Tensor:
        valid = leads.valid[..., None, None].to(h.dtype)  # (B, M, 1, 1)
        sent, received = self.sender(h), self.receiver(h)
        messages: Any = 0
        for i in range(h.shape[1]):  # over senders, so that no array holds all pairs at once
            message = F.relu(F.dropout(sent[:, i : i + 1] + received, self.dropout, self.training))
            others = valid * valid[:, i : i + 1] * _all_but(i, h)
            messages = messages + message * others
        return h + messages / (valid.sum(dim=1, keepdim=True) - 1).clamp(min=1)


def _all_but(i: int, h: Tensor) -> Tensor:
    """(M, 1, 1) ones, but for place i of `h` (B, M, F, C)."""
    ones = h.new_ones(h.shape[1], 1, 1)
    ones[i] = 0
    return ones


MIXERS = {"mean": MeanMixer, "attention": AttentionMixer, "message": MessageMixer}
