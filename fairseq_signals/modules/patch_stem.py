"""Convolutions inside a patch, before the linear map that makes a token of it.

After S. Yang et al. (ICIST 2022, 10.1109/ICIST55546.2022.9926900: kernels of several lengths side by side)
and Hu et al. (10.1016/j.bspc.2023.104772: one after the other). No sample crosses the border of a patch, so
that what is masked does not leak; there is no norm over patches for the same reason.
"""

from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError

STEMS = NO_STEM, IN_TURN, SIDE_BY_SIDE = "none", "in_turn", "side_by_side"
Layers = List[Tuple[int, int, int]]


class PatchStem(nn.Module):
    """Convolutions with GELU of patches: (N, F, leads, p) -> (N, F, channels, numbers).

    Args:
        n_leads: leads of a patch.
        layers: (width, kernel, stride) of each; kernels are odd, and strides equal where they are side by
            side, so that all give as many numbers.
        how: "in_turn" or "side_by_side".

    Raises:
        ConfigError: kernels or strides are not such.
    """

    def __init__(self, n_leads: int, layers: Layers, how: str):
        super().__init__()
        if any(kernel % 2 == 0 for _, kernel, _ in layers):
            raise ConfigError(f"model.patch_stem={how} needs odd kernels in model.conv_feature_layers")
        if how == SIDE_BY_SIDE and len({stride for _, _, stride in layers}) > 1:
            raise ConfigError(f"model.patch_stem={how} needs equal strides in model.conv_feature_layers")
        self.how = how
        self.convs = nn.ModuleList(
            nn.Conv1d(n, width, kernel, stride, padding=kernel // 2)
            for n, (width, kernel, stride) in zip(channels_in(layers, how, n_leads), layers)
        )

    def forward(self, patches: Tensor) -> Tensor:
        x = patches.flatten(0, 1)
        if self.how == SIDE_BY_SIDE:
            x = torch.cat([F.gelu(conv(x)) for conv in self.convs], dim=1)
        else:
            for conv in self.convs:
                x = F.gelu(conv(x))
        return x.unflatten(0, patches.shape[:2])


def channels_in(layers: Layers, how: str, n_leads: int) -> List[int]:
    """The channels that each layer takes."""
    if how == SIDE_BY_SIDE:
        return [n_leads] * len(layers)
    return [n_leads, *(width for width, _, _ in layers[:-1])]


def numbers(layers: Layers, how: str, n_samples: int) -> int:
    """Numbers that a patch of so many samples of each lead becomes."""
    if how == SIDE_BY_SIDE:
        return sum(width for width, _, _ in layers) * -(-n_samples // layers[0][2])
    for _, _, stride in layers:
        n_samples = -(-n_samples // stride)
    return layers[-1][0] * n_samples
