"""Learnt tokens beside those of the signal: registers of a segment, separators of each of its leads."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn


class Sequence(NamedTuple):
    """What the layers over frames take of B segments, E extra tokens before N others.

    Attributes:
        x: (B, E + N, D).
        padding_mask: (B, E + N) bool, True on padding and absent leads, or None.
        n_extra: E.
        allowed: (1 or B, E + N, E + N) bool, which tokens each may attend to; None: all.
        position: (B, E + N, D) what later layers add to what they take; None: nothing.
    """

    x: Tensor
    padding_mask: Optional[Tensor]
    n_extra: int
    allowed: Optional[Tensor] = None
    position: Optional[Tensor] = None


class ExtraTokens(nn.Module):
    """Tokens put before those of a sequence (B, N, D); as attention has no order, their place says nothing.

    Args:
        registers: R, tokens of each segment (arXiv:2309.16588).
        separators: two tokens of one vector for each present lead, with the vector of its name (ST-MEM,
            arXiv:2402.09450).
        dim: D.
    """

    def __init__(self, registers: int, separators: bool, dim: int):
        super().__init__()
        self.registers = nn.Parameter(torch.empty(registers, dim).normal_(std=0.02)) if registers else None
        self.separator = nn.Parameter(torch.empty(dim).normal_(std=0.02)) if separators else None

    def before(
        self,
        x: Tensor,
        padding_mask: Optional[Tensor],
        names: Optional[Tensor] = None,
        valid: Optional[Tensor] = None,
    ) -> Sequence:
        """The sequence with these tokens before those of `x`.

        Args:
            x: (B, N, D).
            padding_mask: (B, N) bool, True on padding, or None.
            names: (B, M, D) vectors of the present leads' names; with separators only.
            valid: (B, M) bool, False where there are fewer leads; with separators only.
        """
        extra, absent = [], []
        if self.registers is not None:
            extra.append(self.registers.to(x.dtype).expand(x.shape[0], -1, -1))
            absent.append(torch.zeros(extra[0].shape[:2], dtype=torch.bool, device=x.device))
        if self.separator is not None and names is not None and valid is not None:
            extra += [self.separator.to(x.dtype) + names] * 2
            absent += [~valid] * 2
        if not extra:
            return Sequence(x, padding_mask, 0)
        if padding_mask is not None or self.separator is not None:
            own = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
            padding_mask = torch.cat([*absent, own if padding_mask is None else padding_mask], dim=1)
        n = sum(part.shape[1] for part in extra)
        return Sequence(torch.cat([*extra, x], dim=1), padding_mask, n)
