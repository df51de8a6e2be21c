"""Leads that tell their names: present leads through one front end, and mixed (`lead_encoding=tokens`)."""

from typing import Any

import torch
from torch import Tensor, nn

from fairseq_signals.modules.conv_features import ConvFeatureExtractor, Fp32GroupNorm, parse_conv_layers
from fairseq_signals.modules.lead_mixer import MIXERS
from fairseq_signals.modules.present_leads import PresentLeads


class SegmentNorm(Fp32GroupNorm):
    """Norm of each channel over all frames and present leads of a segment: (N, C, T) -> (N, C, T).

    So amplitudes stay comparable between the leads of a segment, as where one convolution takes all of them.
    """

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:  # type: ignore[override]
        wide = x.float()
        centred = wide - leads.mean(leads.grouped(wide.mean(dim=-1)))[leads.segment][..., None]
        variance = leads.mean(leads.grouped(centred.square().mean(dim=-1)))[leads.segment][..., None]
        y = centred * torch.rsqrt(variance + self.eps)
        return (y * self.weight.float()[:, None] + self.bias.float()[:, None]).type_as(x)


class LeadFeatureExtractor(ConvFeatureExtractor):
    """The convolutions of the front end on one lead at a time: (N, 1, samples) -> (N, C, F)."""

    def __init__(self, layers: Any, mode: str, bias: bool):
        super().__init__(1, layers, mode, bias)
        first: Any = self.conv_layers[0]
        if mode == "default":
            first[2] = SegmentNorm(layers[0][0], layers[0][0])

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:  # type: ignore[override]
        first: Any = self.conv_layers[0]
        for module in first:
            x = module(x, leads) if isinstance(module, SegmentNorm) else module(x)
        for block in self.conv_layers[1:]:
            x = block(x)
        return x


class LeadNames(nn.Module):
    """A learnt vector of each lead's name, added to its frames, and a mixer: (N, F, C) -> (B, F, C).

    Args:
        cfg: any object with the attributes of `EncoderConfig`.
    """

    def __init__(self, cfg: Any):
        super().__init__()
        dim = parse_conv_layers(cfg.conv_feature_layers)[-1][0]
        self.vectors = nn.Parameter(torch.empty(cfg.in_d, dim).normal_(std=0.1))
        self.mixer = MIXERS[cfg.lead_mixer](dim, cfg.lead_mixer_rounds, cfg.lead_mixer_dropout)

    def forward(self, frames: Tensor, leads: PresentLeads) -> Tensor:
        return self.mixer(frames + self.vectors.to(frames.dtype)[leads.lead][:, None], leads)
