"""From frames to one global representation."""

from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError

MEAN, STD = "mean", "std"  #: statistics over frames


def mean_over_frames(
    x: Tensor, padding_mask: Optional[Tensor] = None, skip_zero_frames: bool = False
) -> Tensor:
    """Mean of (B, F, D) over the frames that are not padding: (B, D).

    With `skip_zero_frames`, frames that are zero in all channels do not count either.

    The authors' code divides by the number of non-zero entries of each channel; the two agree wherever no
    entry is exactly zero, and ours is finite where a channel is zero at every frame.
    """
    if padding_mask is None and not skip_zero_frames:
        return x.mean(dim=1)
    keep = (x != 0).any(dim=-1) if skip_zero_frames else ~padding_mask  # type: ignore[operator]
    if skip_zero_frames and padding_mask is not None:
        keep = keep & ~padding_mask
    keep = keep.unsqueeze(-1)
    return (x * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1)


class AttentivePooling(nn.Module):
    """Weighted means over frames, whose weights are learnt: (B, F, D) -> (B, D).

    The channels are split among `heads`, each of which weighs frames by the softmax of one linear score. At
    first the scores are zero, and the result is the mean over frames.
    """

    def __init__(self, dim: int, heads: int = 4):
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim ({dim}) must be a multiple of heads ({heads})")
        self.heads = heads
        self.score = nn.Linear(dim, heads)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, x: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
        """Pool frames; `padding_mask` is (B, F) bool, True on padding, or None."""
        score = self.score(x)  # (B, F, heads)
        if padding_mask is not None:
            score = score.masked_fill(padding_mask[..., None], -1e9)
        b, f, d = x.shape
        parts = x.view(b, f, self.heads, d // self.heads)
        return (score.softmax(dim=1)[..., None] * parts).sum(dim=1).reshape(b, d)


class FrameStatistics(nn.Module):
    """Standardised means and deviations over the frames of several layers: in place of the last one's mean.

    Deviations tell of rhythm, and middle layers of what a pre-training's objective has no use for.

    Args:
        wanted: statistics of layers, such as "mean:4" or "std:2"; a layer is a number from 0, what the first
            one takes, to the last one's.
        n_layers: how many layers there are.
        dim: their width D.

    Attributes:
        dim: S D, the width of the result.
        mean, deviation: (S D,) of each of its numbers over training recordings; 0 and 1 at first.

    Raises:
        ConfigError: no such statistic, or no such layer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, wanted: Sequence[str], n_layers: int, dim: int):
        super().__init__()
        pairs = [text.partition(":") for text in wanted]
        known = {str(layer) for layer in range(n_layers + 1)}
        wrong = [text for text, (kind, _, layer) in zip(wanted, pairs)
                 if kind not in (MEAN, STD) or layer not in known]  # fmt: skip
        if wrong or not pairs or len(set(wanted)) < len(pairs):
            raise ConfigError(
                f"pooling must be different statistics of layers, {MEAN}:LAYER or {STD}:LAYER, with layers "
                f"from 0 to {n_layers}, but is {', '.join(wanted) or 'nothing'}"
            )
        self.wanted, self.dim = tuple(wanted), len(pairs) * dim
        self._kinds = [(kind, int(layer)) for kind, _, layer in pairs]
        self.layers: Tuple[int, ...] = tuple(sorted({layer for _, layer in self._kinds}))
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("deviation", torch.ones(self.dim))

    def forward(self, frames: Sequence[Tensor], padding_mask: Optional[Tensor] = None) -> Tensor:
        """(B, N, D) of each of `layers` -> (B, S D); `padding_mask` is (B, N) bool, True on padding."""
        of_layer = dict(zip(self.layers, frames))
        found = [self._statistic(kind, of_layer[layer], padding_mask) for kind, layer in self._kinds]
        return (torch.cat(found, dim=1) - self.mean) / self.deviation

    @staticmethod
    def _statistic(kind: str, x: Tensor, padding_mask: Optional[Tensor]) -> Tensor:
        mean = mean_over_frames(x, padding_mask)
        if kind == MEAN:
            return mean
        # a floor: the gradient of a root is infinite at zero
        return mean_over_frames((x - mean[:, None]).square(), padding_mask).clamp(min=1e-10).sqrt()
