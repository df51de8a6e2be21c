"""From frames to one global representation."""

import math
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError

MEAN, STD, ENTROPY = STATISTICS = "mean", "std", "entropy"  #: over frames
_TINY = 1e-10


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


def spectral_entropy(x: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
    """How irregular (B, F, D) is over the frames that are not padding: (B, D), from 0 to 1.

    Shannon's entropy of the power spectrum without its constant, over its largest value: 0 where a channel
    is one sine (or constant), 1 where all frequencies have the same power. After Inouye et al.,
    Quantification of EEG irregularity by use of the entropy of the power spectrum, 1991.

    Args:
        x: frames.
        padding_mask: (B, F) bool, True on padding, which is at an end; or None.
    """
    x = x - mean_over_frames(x, padding_mask)[:, None]
    n_frames = torch.full_like(x[:, 0, 0], x.shape[1])
    if padding_mask is not None:
        x = x.masked_fill(padding_mask[..., None], 0.0)
        n_frames = (~padding_mask).sum(dim=1).to(x.dtype)
    frame = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
    wave = torch.arange(1, x.shape[1] // 2 + 1, device=x.device, dtype=x.dtype)  # (K,) to Nyquist's
    n_waves = (n_frames / 2).floor()
    angle = 2 * math.pi * wave[:, None] * frame / n_frames.clamp(min=1)[:, None, None]  # (B, K, F)
    power = torch.bmm(angle.cos(), x).square() + torch.bmm(angle.sin(), x).square()  # (B, K, D)
    power = power * (wave <= n_waves[:, None])[..., None]
    share = power / power.sum(dim=1, keepdim=True).clamp(min=_TINY)
    entropy = -(share * (share + _TINY).log()).sum(dim=1)
    return entropy / n_waves.clamp(min=2)[:, None].log()


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
    """Standardised statistics over the frames of several layers: in place of the last one's mean.

    Deviations tell of how much beats change, entropies of how regularly they come (`spectral_entropy`), and
    middle layers of what a pre-training's objective has no use for.

    Args:
        wanted: statistics of layers, such as "mean:4", "std:2" or "entropy:4"; a layer is a number from 0,
            what the first one takes, to the last one's.
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
                 if kind not in STATISTICS or layer not in known]  # fmt: skip
        if wrong or not pairs or len(set(wanted)) < len(pairs):
            kinds = " or ".join(f"{kind}:LAYER" for kind in STATISTICS)
            raise ConfigError(
                f"pooling must be different statistics of layers, {kinds}, with layers "
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
        if kind == ENTROPY:
            return spectral_entropy(x, padding_mask)
        mean = mean_over_frames(x, padding_mask)
        if kind == MEAN:
            return mean
        # a floor: the gradient of a root is infinite at zero
        return mean_over_frames((x - mean[:, None]).square(), padding_mask).clamp(min=_TINY).sqrt()
