"""Gumbel vector quantizer q: Z -> Q (wav2vec 2.0, Sec. 2): fairseq's, without its one-hot temporary."""

from dataclasses import dataclass
from typing import Tuple

import torch
import torch.nn.functional as F
from fairseq.modules import GumbelVectorQuantizer
from torch import Tensor


@dataclass
class Quantized:
    """N frames in G groups of V codes.

    Attributes:
        x: (N, G * D_g) chosen codebook vectors, differentiable by the straight-through estimator.
        codes: (N, G) long, the chosen codes.
        hard_probs: (G, V) share of frames for which a code has the largest logit (no Gumbel noise).
        avg_probs: (G, V) mean softmax over frames.
    """

    x: Tensor
    codes: Tensor
    hard_probs: Tensor
    avg_probs: Tensor


def perplexity(probs: Tensor) -> Tensor:
    """exp(entropy) of each group's code distribution (G, V), summed over groups."""
    return torch.exp(-(probs * torch.log(probs + 1e-7)).sum(dim=-1)).sum()


class VectorQuantizer(GumbelVectorQuantizer):
    """fairseq's parameters and temperature schedule; the codebook is read by one batched matrix product."""

    def forward(self, x: Tensor) -> Quantized:  # type: ignore[override]
        """Quantize frames (N, C)."""
        n = len(x)
        logits = self.weight_proj(x).view(n, self.groups, self.num_vars)
        hard = F.one_hot(logits.argmax(dim=-1), self.num_vars)
        hard_probs = hard.float().sum(dim=0) / max(n, 1)
        avg_probs = torch.softmax(logits.float(), dim=-1).sum(dim=0) / max(n, 1)
        if self.training:
            # (N, G, V) -> (N * G, V), the order in which fairseq draws its noise
            flat = F.gumbel_softmax(logits.flatten(0, 1).float(), tau=self.curr_temp, hard=True)
            chosen = flat.view_as(logits).type_as(logits)
        else:
            chosen = hard.type_as(logits)
        book = self.vars.view(-1, self.num_vars, self.vars.shape[-1])
        book = book.expand(self.groups, -1, -1)  # one codebook serves all groups where they are combined
        y = torch.bmm(chosen.transpose(0, 1), book.to(chosen.dtype)).transpose(0, 1)  # (N, G, D_g)
        return Quantized(y.flatten(start_dim=1), chosen.argmax(dim=-1), hard_probs, avg_probs)

    def codebook_samples(self, n: int) -> Tuple[Tensor, Tensor]:
        """Codebook entries drawn uniformly per group: vectors (n, G * D_g) and codes (n, G)."""
        codes = torch.randint(self.num_vars, (n, self.groups), device=self.vars.device)
        book = self.vars.view(-1, self.num_vars, self.vars.shape[-1])
        book = book.expand(self.groups, -1, -1)
        groups = torch.arange(self.groups, device=book.device)
        return book[groups, codes].reshape(n, -1), codes
