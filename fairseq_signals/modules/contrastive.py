"""The local contrastive term (wav2vec 2.0, Eq. 3; Oh et al., Eq. 1): logits without gathered copies.

All distractors of a frame come from one set of candidates, so a single product of the normalised frames
with that set holds every logit; the drawn indices select from it.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor


def compact(mask: Tensor) -> "tuple[Tensor, Tensor]":
    """Positions of the True entries of each row of a (B, F) mask, padded to the longest row.

    Returns:
        index (B, M) long, the k-th True position of the row, 0 on padding; and valid (B, M) bool.
    """
    count = mask.sum(dim=1)
    m = int(count.max()) if mask.numel() else 0
    valid = torch.arange(m, device=mask.device) < count[:, None]
    index = torch.zeros(valid.shape, dtype=torch.long, device=mask.device)
    index[valid] = mask.nonzero()[:, 1]
    return index, valid


def sample_distractors(
    own: Tensor, count: Tensor, k: int, generator: Optional[torch.Generator] = None
) -> Tensor:
    """K distractors for each frame, uniformly from `count` candidates other than its own, with replacement.

    Args:
        own: (...) long, each frame's own candidate.
        count: number of candidates, broadcastable to `own`.
        k: K, the number of distractors.

    Returns:
        (..., K) long; -1 where there is no other candidate.
    """
    others = (count - 1).clamp(min=0).expand_as(own)[..., None]
    draw = torch.rand((*own.shape, k), device=own.device, generator=generator)
    index = (draw * others).long().clamp(max=others - 1)
    index = index + (index >= own[..., None]).long()
    return torch.where(others > 0, index, torch.full_like(index, -1))


def cosine_similarity(x: Tensor, candidates: Tensor) -> Tensor:
    """Cosine of every frame with every candidate, in float32.

    Args:
        x: (B, M, D) frames.
        candidates: (B, N, D), a set for each segment, or (N, D), one set for all.

    Returns:
        (B, M, N).
    """
    x, candidates = F.normalize(x.float(), dim=-1), F.normalize(candidates.float(), dim=-1)
    return x @ candidates.transpose(-1, -2)


def same_codes(codes: Tensor, own_codes: Tensor) -> Tensor:
    """Where a candidate has the codes of a frame's positive, in all groups: (B, M, N) bool.

    Args:
        codes: (B or 1, N, G) codes of the candidates.
        own_codes: (B, M, G) codes of the positives.
    """
    same = codes[:, None, :, 0] == own_codes[:, :, None, 0]
    for group in range(1, codes.shape[2]):
        same &= codes[:, None, :, group] == own_codes[:, :, None, group]
    return same


def distractor_logits(similarity: Tensor, distractors: Tensor, excluded: Optional[Tensor] = None) -> Tensor:
    """Similarities at the drawn indices; -inf where there is no distractor or it is the positive itself.

    Args:
        similarity: (B, M, N) of frames to candidates.
        distractors: (B, M, K) long into N, -1 for none.
        excluded: (B, M, N) bool, candidates that equal the positive (`same_codes`), or None.

    Returns:
        (B, M, K).
    """
    if excluded is not None:
        similarity = similarity.masked_fill(excluded, float("-inf"))
    logits = similarity.gather(2, distractors.clamp(min=0))
    return logits.masked_fill(distractors < 0, float("-inf"))


def all_distractor_logits(
    similarity: Tensor, own: Tensor, count: Tensor, excluded: Optional[Tensor] = None
) -> Tensor:
    """Similarities with every candidate but a frame's own: (B, M, N), -inf on what does not count.

    Args:
        similarity: (B, M, N) of frames to candidates.
        own: (B, M) long, each frame's own candidate.
        count: (B,) number of candidates of each segment; those beyond are padding.
        excluded: (B, M, N) bool, candidates that equal the positive (`same_codes`), or None.
    """
    position = torch.arange(similarity.shape[2], device=similarity.device)
    left_out = (position == own[..., None]) | (position >= count[:, None, None])
    if excluded is not None:
        left_out |= excluded
    return similarity.masked_fill(left_out, float("-inf"))


def infonce_loss(logits: Tensor, valid: Tensor) -> Tensor:
    """Sum over valid frames of the cross entropy to column 0, in nats (Eq. 1).

    Args:
        logits: (B, M, 1 + K), the positive first.
        valid: (B, M) bool.
    """
    logits = logits[valid].float()
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long), reduction="sum")


def binary_contrastive_loss(logits: Tensor, valid: Tensor) -> Tensor:
    """The loss of `infonce=false`: positives against 1, distractors against 0, summed over pairs."""
    logits = logits[valid].float()
    target = torch.zeros_like(logits)
    target[:, 0] = 1.0
    kept = torch.isfinite(logits)
    return F.binary_cross_entropy_with_logits(logits[kept], target[kept], reduction="sum")
