"""Span masks over frames (wav2vec 2.0, Sec. 3.1), drawn for a whole batch at once.

Every row draws its own number of spans, so how many of its frames are masked does not depend on what else
is in the batch; `equal_rows=True` draws one number for all and trims each row to the batch's minimum, as the
usual code does.
"""

from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

SELECTIONS = ("static", "uniform", "normal", "poisson")


def span_mask(
    shape: Tuple[int, int],
    mask_prob: float,
    mask_length: int,
    padding_mask: Optional[Tensor] = None,
    selection: str = "static",
    other: float = 0.0,
    min_masks: int = 2,
    no_overlap: bool = False,
    min_space: int = 1,
    equal_rows: bool = False,
    device: Optional[torch.device] = None,
    generator: Optional[torch.Generator] = None,
) -> Tensor:
    """Frames to mask, (B, F) bool, True = masked.

    Args:
        shape: (B, F).
        mask_prob: share of frames that would be masked if spans never overlapped; a span starts at a frame
            with probability `mask_prob / mask_length`.
        mask_length: length of a span in frames (the mean length, unless `selection` is "static").
        padding_mask: (B, F) bool, True on padding (at the end of a row); never masked.
        selection: how lengths are drawn: "static" (all `mask_length`), "uniform" (`other` to
            2 x `mask_length`), "normal" (standard deviation `other`) or "poisson".
        min_masks: least number of spans a row.
        no_overlap: keep at least `min_space` frames between two spans.
        equal_rows: mask as many frames in every row as in the row with the fewest.
        generator: source of randomness (PyTorch's own if None).
    """
    b, f = shape
    if b == 0 or f == 0:
        return torch.zeros(shape, dtype=torch.bool, device=device)
    options: Dict[str, Any] = {"device": device, "generator": generator}
    size = torch.full((b,), f, device=device) if padding_mask is None else (~padding_mask).sum(dim=1)
    expected = mask_prob * size / mask_length
    rounding = torch.rand(1 if equal_rows and padding_mask is None else b, **options)
    n_spans = (expected + rounding).long().clamp(min=min_masks)
    slots = max(int(n_spans.max()), 1)
    length = _span_lengths((b, slots), mask_length, selection, other, options)
    length = torch.minimum(length, size.clamp(min=1)[:, None])
    place = _separate_starts if no_overlap else _random_starts
    start, used = place(size, n_spans, length, min_space, options)
    # mark where each span begins and ends; a frame is masked while more spans have begun than ended
    steps = torch.zeros(b, f + 1, dtype=torch.long, device=device)
    steps.scatter_add_(1, start.clamp(0, f), used.long())
    steps.scatter_add_(1, (start + length).clamp(0, f), -used.long())
    mask = steps.cumsum(dim=1)[:, :f] > 0
    if padding_mask is not None:
        mask &= ~padding_mask
    return _trim_to_shortest(mask, options) if equal_rows else mask


def _span_lengths(shape: Tuple[int, int], mean: int, selection: str, other: float, options: dict) -> Tensor:
    if selection == "static":
        return torch.full(shape, mean, device=options["device"])
    if selection == "uniform":
        low = int(other)
        return (low + torch.rand(shape, **options) * (2 * mean + 1 - low)).long().clamp(min=1)
    if selection == "normal":
        return (mean + other * torch.randn(shape, **options)).round().long().clamp(min=1)
    if selection == "poisson":
        rate = torch.full(shape, float(mean), device=options["device"])
        return torch.poisson(rate, generator=options["generator"]).long().clamp(min=1)
    raise ValueError(f"mask_selection must be one of {', '.join(SELECTIONS)}, but is {selection!r} instead")


def _random_starts(
    size: Tensor, n_spans: Tensor, length: Tensor, min_space: int, options: dict
) -> Tuple[Tensor, Tensor]:
    """Starts without replacement, each such that its span ends inside the row; spans may overlap."""
    b, slots = length.shape
    last = (size[:, None] - length.min(dim=1, keepdim=True).values).clamp(min=0)  # (B, 1)
    width = max(int(last.max()) + 1, slots)
    score = torch.rand(b, width, **options)
    score.masked_fill_(torch.arange(width, device=score.device) > last, -1.0)
    score, start = score.topk(slots, dim=1)
    start = torch.minimum(start, (size[:, None] - length).clamp(min=0))
    used = (torch.arange(slots, device=start.device) < n_spans[:, None]) & (score >= 0)
    return start, used & (size[:, None] > 0)


def _separate_starts(
    size: Tensor, n_spans: Tensor, length: Tensor, min_space: int, options: dict
) -> Tuple[Tensor, Tensor]:
    """Starts of spans at least `min_space` frames apart: as many as fit, the free frames shared at random."""
    b, slots = length.shape
    need = length.cumsum(dim=1) + min_space * torch.arange(slots, device=length.device)
    used = (torch.arange(slots, device=length.device) < n_spans[:, None]) & (need <= size[:, None])
    taken = torch.where(used, need, torch.zeros_like(need)).max(dim=1, keepdim=True).values
    free = size[:, None] - taken
    # sorted uniform draws cut the free frames into gaps, one before each span and one at the end
    gap = (torch.rand(b, slots, **options) * (free + 1)).long().masked_fill(~used, int(size.max()) + 1)
    gap = gap.sort(dim=1).values
    return gap + need - length, used


def _trim_to_shortest(mask: Tensor, options: dict) -> Tensor:
    """Unmask random frames until every row has as many as the row with the fewest."""
    keep = int(mask.sum(dim=1).min())
    score = torch.rand(mask.shape, **options).masked_fill(~mask, -1.0)
    chosen = score.topk(keep, dim=1).indices
    return torch.zeros_like(mask).scatter_(1, chosen, True)
