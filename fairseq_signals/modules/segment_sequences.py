"""One vector of several segments in their order (SMD-SSL, A. Raghu et al. 2023, arXiv:2307.10923)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rows_of_sequences(sequence: Tensor, step: Tensor) -> Tensor:
    """Which rows of a batch make each sequence, in the order of their steps: (S, T) long, -1 where none does.

    Args:
        sequence: (B,) a number of the sequence of each row; their order is that of the result.
        step: (B,) any number that grows along a sequence.
    """
    order = torch.argsort(step, stable=True)
    order = order[torch.argsort(sequence[order], stable=True)]
    _, counts = torch.unique_consecutive(sequence[order], return_counts=True)
    row = torch.arange(len(counts), device=order.device).repeat_interleave(counts)
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[row]
    rows = order.new_full((len(counts), int(counts.max())), -1)
    rows[row, place] = order
    return rows


class SegmentSequences(nn.Module):
    """Gated recurrent units over the segments of a sequence, and a linear layer: the last state, (S, width).

    Args:
        dim: D, of a segment's vector.
        width: of the units and of the result.
        layers: of them.
    """

    def __init__(self, dim: int, width: int, layers: int):
        super().__init__()
        self.units = nn.GRU(dim, width, layers, batch_first=True)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """Sum up sequences of T segments or fewer.

        Args:
            x: (B, D) vectors of segments.
            rows: (S, T) which of them a sequence has, -1 behind its last one.
        """
        steps = torch.where((rows >= 0)[..., None], x[rows.clamp(min=0)], 0.0)
        states, _ = self.units(steps)
        last = (rows >= 0).sum(dim=1) - 1
        return F.relu(self.linear(states[torch.arange(len(rows), device=rows.device), last]))
