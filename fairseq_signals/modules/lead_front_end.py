"""Leads that tell their names: present leads through one front end, and mixed (`lead_encoding=tokens`)."""

from typing import Any

import torch
from torch import Tensor, nn

from fairseq_signals.modules.conv_features import ConvFeatureExtractor, Fp32GroupNorm
from fairseq_signals.modules.lead_mixer import LeadMixer
from fairseq_signals.modules.present_leads import PresentLeads


class LeadFeatureExtractor(ConvFeatureExtractor):
    """The convolutions of the front end on one lead at a time: (N, 1, samples) -> (N, C, F).

    With `mode="default"` the norm of the first block is of each channel over all frames and present leads of
    a segment, so that amplitudes stay comparable between its leads, as where one convolution takes them all.
    """

    def __init__(self, layers: Any, mode: str, bias: bool):
        super().__init__(1, layers, mode, bias)
        self.norm_of_segment = mode == "default"
        if self.norm_of_segment:
            first: Any = self.conv_layers[0]
            first[0].bias = None  # the norm takes it away again

    def forward(self, x: Tensor, leads: Any = None) -> Tensor:
        first: Any = self.conv_layers[0]
        if self.norm_of_segment:
            conv, _, norm, activation = first
            x = activation(_normed_convolution(x[:, 0], conv, norm, leads))
        else:
            x = first(x)
        for block in self.conv_layers[1:]:
            x = block(x)
        return x


def _normed_convolution(x: Tensor, conv: nn.Conv1d, norm: Fp32GroupNorm, leads: PresentLeads) -> Tensor:
    """Convolution of one lead, and norm over the leads of a segment: (N, samples) -> (N, C, T).

    Mean and variance of a channel follow from those of the K samples that its kernel w takes at a time: they
    are w mu and w S w'. So the norm is part of the weights, which each segment has of its own, and no array
    of (N, C, T) is made for it.
    """
    patches = x.unfold(1, conv.kernel_size[0], conv.stride[0]).transpose(1, 2)  # (N, K, T)
    # smooth signals: w S w' is the small difference of large numbers
    wide = patches.to(torch.float32 if x.device.type == "mps" else torch.float64)
    mean = leads.mean(leads.grouped(wide.mean(dim=2)))  # (B, K)
    centred = wide - mean[leads.segment][..., None]
    spread = leads.mean(leads.grouped(centred @ centred.transpose(1, 2) / centred.shape[2]))  # (B, K, K)
    weight = conv.weight[:, 0].to(spread.dtype)
    variance = ((weight @ spread) * weight).sum(dim=2).clamp(min=0)  # (B, C)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    kernels = (weight * scale[..., None]).to(x.dtype)[leads.segment]  # (N, C, K)
    return torch.baddbmm(norm.bias.to(x.dtype)[:, None], kernels, centred.to(x.dtype))


class LeadNames(nn.Module):
    """A learnt vector of each lead's name, added to its frames: (N, F, C) of N present leads -> the same.

    Args:
        n_leads: that there are.
        dim: C.
        std: deviation of the vectors at first.
        named: without, there are no vectors, and the leads have to be told otherwise.
    """

    def __init__(self, n_leads: int, dim: int, std: float, named: bool = True):
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(n_leads, dim).normal_(std=std)) if named else None

    def forward(self, frames: Tensor, leads: PresentLeads) -> Tensor:
        if self.vectors is None:
            return frames
        return frames + self.vectors.to(frames.dtype)[leads.lead][:, None]


class MixedLeads(LeadNames):
    """The same, and a mixer: (N, F, C) -> (B, F, C).

    Args:
        cfg: any object with the attributes of `EncoderConfig`.
        dim: C.
    """

    def __init__(self, cfg: Any, dim: int):
        super().__init__(cfg.in_d, dim, std=0.1)
        self.mixer = LeadMixer(cfg.lead_mixer, dim, cfg.lead_mixer_rounds, cfg.lead_mixer_dropout)

    def forward(self, frames: Tensor, leads: PresentLeads) -> Tensor:
        return self.mixer(super().forward(frames, leads), leads)
