"""Projectors and predictors: linear layers, with batch normalisation over all data-parallel workers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Callable

import torch
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.distributed import gather_rows


class WorkerBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (N, D) over the rows of all data-parallel workers (CPU and GPU).

    Statistics of each worker's own rows would tell which rows are together on one. In evaluation mode the
    running statistics serve, as in PyTorch's.
    """

    def forward(self, input: Tensor, contribute: bool = True) -> Tensor:
        """Normalise each column.

        Args:
            input: (N, D).
            contribute: count these rows, and not those of a batch that fairseq only repeats.

        Raises:
            ConfigError: there is but one row, which has no deviation.
        """
        if not self.training:
            return super().forward(input)
        x = input.float()
        rows = gather_rows(x, contribute)
        if len(rows) < 2:
            raise ConfigError(
                f"batch normalisation needs two rows or more, but a batch has {len(rows)}: raise "
                "dataset.batch_size, or choose it so that no single segment is left at the end of an epoch"
            )
        mean, variance = rows.mean(dim=0), rows.var(dim=0, unbiased=False)
        self._note(mean.detach(), variance.detach() * len(rows) / (len(rows) - 1))
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        if self.affine:
            x = x * self.weight.float() + self.bias.float()
        return x.type_as(input)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        """Let the running statistics follow those of a batch."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.lerp_(mean.type_as(self.running_mean), self.momentum)
        self.running_var.lerp_(variance.type_as(self.running_var), self.momentum)


class MLPHead(nn.Sequential):
    """Linear layers with an activation after each but the last: (N, dims[0]) -> (N, dims[-1]).

    Args:
        dims: widths, from the input's to the output's; one alone makes the identity.
        norm: batch normalisation after each layer but the last, which then are without bias.
        last_norm: and after the last one, without learnt scale (MoCo v3, arXiv:2104.02057).
        activation: makes the activation.
    """

    def __init__(
        self,
        dims: Sequence[int],
        norm: bool = False,
        last_norm: bool = False,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ):
        layers: list[nn.Module] = []
        for n, (width, next_width) in enumerate(pairwise(dims), start=2):
            last = n == len(dims)
            normed = last_norm if last else norm
            layers.append(nn.Linear(width, next_width, bias=not normed))
            if normed:
                layers.append(WorkerBatchNorm(next_width, affine=not last))
            if not last:
                layers.append(activation())
        super().__init__(*layers)

    def forward(self, input: Tensor, contribute: bool = True) -> Tensor:
        """Apply the layers; `contribute` as of `WorkerBatchNorm`."""
        for layer in self:
            input = layer(input, contribute) if isinstance(layer, WorkerBatchNorm) else layer(input)
        return input
