"""Masks of an encoder's frames and channels, as its configuration has them."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from fairseq_signals.modules.span_mask import span_mask


def draw_spans(
    cfg: Any, shape: Tuple[int, int], padding_mask: Optional[Tensor], device: torch.device
) -> Optional[Tensor]:
    """A random span mask over frames, (B, N) bool, or None where none is to be."""
    if cfg.mask_prob <= 0:
        return None
    return span_mask(
        shape,
        cfg.mask_prob,
        cfg.mask_length,
        padding_mask,
        cfg.mask_selection,
        cfg.mask_other,
        no_overlap=cfg.no_mask_overlap,
        min_space=cfg.mask_min_space,
        equal_rows=cfg.mask_equal_rows,
        device=device,
    )


def mask_channels(cfg: Any, x: Tensor) -> Tensor:
    """Zero random spans of channels of (B, N, D), each over all frames of its segment."""
    if cfg.mask_channel_prob <= 0:
        return x
    mask = span_mask(
        (x.shape[0], x.shape[2]),
        cfg.mask_channel_prob,
        cfg.mask_channel_length,
        None,
        cfg.mask_channel_selection,
        cfg.mask_channel_other,
        min_masks=0,
        no_overlap=cfg.no_mask_channel_overlap,
        min_space=cfg.mask_channel_min_space,
        device=x.device,
    )
    return x.masked_fill(mask[:, None, :], 0.0)
