"""The one collater: samples of any dataset of ours to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Dict, List

import torch
from torch import Tensor


def collate(samples: Sequence[List[Dict[str, Any]]], pad: bool = True) -> Dict[str, Any]:
    """A batch from items of one or several segments each, in their order: item, segment of it, view of that.

    Args:
        samples: items, each a list of segments (or of their views) with `source` (leads, samples), `id`, and
            integers or tensors.
        pad: bring segments to the longest length with zeros (and a padding mask); else cut to the shortest.

    Returns:
        `net_input` with `source` (B, leads, samples) and `padding_mask` (B, samples) bool or None, and every
        other key stacked: integers as (B,) long, tensors as (B, ...).
    """
    segments = [segment for item in samples for segment in item]
    if not segments:
        return {}
    sizes = [segment["source"].shape[-1] for segment in segments]
    length = max(sizes) if pad else min(sizes)
    source = segments[0]["source"].new_zeros(len(segments), segments[0]["source"].shape[0], length)
    for row, segment in zip(source, segments):
        part = segment["source"][:, :length]
        row[:, : part.shape[1]] = part
    padding_mask = None
    if min(sizes) < length:
        padding_mask = torch.arange(length) >= torch.tensor(sizes)[:, None]
    batch: Dict[str, Any] = {"net_input": {"source": source, "padding_mask": padding_mask}}
    for key, value in segments[0].items():
        if key == "subset":
            batch[key] = value
        elif isinstance(value, Tensor) and key != "source":
            batch[key] = torch.stack([segment[key] for segment in segments])
        elif isinstance(value, (bool, int)):
            batch[key] = torch.tensor([segment[key] for segment in segments])
    return batch
