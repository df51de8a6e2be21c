"""From frames to one global representation."""

from typing import Optional

from torch import Tensor


def mean_over_frames(x: Tensor, padding_mask: Optional[Tensor] = None) -> Tensor:
    """Mean of (B, F, D) over the frames that are not padding: (B, D).

    The authors' code divides by the number of non-zero entries of each channel; the two agree wherever no
    entry is exactly zero, and ours is finite where a channel is zero at every frame.
    """
    if padding_mask is None:
        return x.mean(dim=1)
    keep = (~padding_mask).unsqueeze(-1)
    return (x * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1)
