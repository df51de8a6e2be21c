"""Attention weights of an encoder: its fast kernels do not give them, so they are computed again."""

from __future__ import annotations

import math
from typing import Any, List, Optional

import torch
from torch import Tensor

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import TRANSFORMER
from fairseq_signals.modules.transformer import SelfAttention


def attention_maps(
    encoder: ECGEncoder, source: Tensor, lead_present: Optional[Tensor] = None
) -> List[Tensor]:
    """The weights of each layer, (B, heads, F, F): row i is what frame i attends to, and sums to 1.

    Frames are tokens: registers and separators first, then those of the signal.

    Args:
        encoder: in evaluation mode.
        source: (B, leads, samples) in mV, without padding.
        lead_present: (B, leads) bool, True where a lead is present, or None: all are.

    Raises:
        ConfigError: the encoder has none.
    """
    if encoder.cfg.context != TRANSFORMER:
        raise ConfigError(f"the model has no attention: its model.context is {encoder.cfg.context}")
    found: List[Tensor] = []

    def note(module: SelfAttention, arguments: Any) -> None:
        found.append(attention_weights(module, *arguments))

    modules = [module for module in encoder.encoder.modules() if isinstance(module, SelfAttention)]
    hooks = [module.register_forward_pre_hook(note) for module in modules]
    try:
        with torch.no_grad():
            encoder(source, lead_present=lead_present)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def attention_weights(attention: SelfAttention, x: Tensor, keep: Optional[Tensor] = None) -> Tensor:
    """softmax(Q K^T / sqrt(D / heads)) of frames (B, F, D): (B, heads, F, F); `keep` as of the layer."""
    b, f, d = x.shape
    # (B, F, D) -> (B, heads, F, D / heads)
    q, k = (
        proj(x).view(b, f, attention.heads, d // attention.heads).transpose(1, 2)
        for proj in (attention.q_proj, attention.k_proj)
    )
    scores = q @ k.transpose(-1, -2) / math.sqrt(d // attention.heads)
    return torch.softmax(scores if keep is None else scores.masked_fill(~keep, -math.inf), dim=-1)


def rollout(maps: List[Tensor]) -> Tensor:
    """Attention rollout (Abnar and Zuidema, ACL 2020): how much of each input frame is in each output frame.

    The mean over heads and the identity, for the residual connection, weigh one half each; layers are
    multiplied. Rows sum to 1.

    Args:
        maps: of each layer (B, heads, F, F), the first layer first.

    Returns:
        (B, F, F), output frames by input frames.
    """
    n = maps[0].shape[-1]
    total = torch.eye(n, dtype=maps[0].dtype, device=maps[0].device)[None]
    for weights in maps:
        layer = 0.5 * (weights.mean(dim=1) + torch.eye(n, dtype=weights.dtype, device=weights.device))
        total = layer @ total
    return total
