"""From frames to one global representation."""

from typing import Optional

from torch import Tensor, nn


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
