"""From the frames of each present lead to those of a segment, whatever leads there are and in any order."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.present_leads import PresentLeads
from fairseq_signals.modules.transformer import SelfAttention


class LeadMixer(nn.Module):
    """Rounds among the leads of a frame, and the mean over them: (N, F, C) of N present leads to (B, F, C).

    Args:
        kind: "mean": each lead by itself goes through a network, which makes its name and its frames one.
            "attention": self-attention among the leads, as in a pre-norm Transformer. "message": messages
            between them (contrastive random lead coding, arXiv:2410.19842), and a network of the mean; the
            authors' published code gives that the sum, which grows with the number of leads.
        dim: C.
        rounds: how many.
        dropout: in each of them.
    """

    def __init__(self, kind: str, dim: int, rounds: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(ROUNDS[kind](dim, dropout) for _ in range(rounds))
        self.readout: nn.Module = nn.Identity()
        if kind == "message":
            layers = nn.Linear(dim, dim), nn.Dropout(dropout), nn.ReLU(), nn.Linear(dim, dim)
            self.readout = nn.Sequential(*layers)

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        for layer in self.layers:
            x = layer(x, leads)
        return self.readout(leads.mean(leads.grouped(x)))


class _FeedForward(nn.Sequential):
    """The feed-forward part of a pre-norm layer, with what it is added to."""

    def __init__(self, dim: int, dropout: float):
        super().__init__(
            nn.LayerNorm(dim),
            nn.Linear(dim, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:  # type: ignore[override]
        return x + super().forward(x)


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
        return self.feed_forward(x + self.attention(self.norm(x), leads), leads)


class _MessageRound(nn.Module):
    """h_j + sum_i m_ij, with messages m_ij = ReLU(dropout(W [h_i; h_j] + b)) / (M - 1) from each other lead.

    W [h_i; h_j] is a product of h_i and one of h_j, so that both are made once a lead and not once a pair.
    """

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


ROUNDS = {"mean": _FeedForward, "attention": _AttentionRound, "message": _MessageRound}
