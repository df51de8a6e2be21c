"""Convolutional front end f: X -> Z, from samples to latent frames (wav2vec 2.0, Sec. 2)."""

import ast
import math
import operator
from collections.abc import Sequence
from typing import Any, List, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.safety.rules import Rule, shown

ConvLayer = Tuple[int, int, int]
EXTRACTOR_MODES = ("default", "layer_norm")
MAX_LAYERS, MAX_WIDTH, MAX_TEXT = 64, 1 << 16, 4096
_OPERATORS = {ast.Add: operator.add, ast.Mult: operator.mul}


def parse_conv_layers(spec: Any) -> List[ConvLayer]:
    """Layers as `[(dim, kernel, stride), ...]`.

    Args:
        spec: such a list, or its text in the usual short form, e.g. `"[(256, 2, 2)] * 4"`. Text may hold
            literals, `+` and `* int` only; nothing is evaluated.

    Raises:
        ConfigError: the text is not of that form, or a layer is not three positive integers.
    """
    try:
        if isinstance(spec, str) and len(spec) > MAX_TEXT:
            raise ValueError(f"{len(spec):,} characters, but at most {MAX_TEXT:,} are read")
        layers = _literal(ast.parse(spec, mode="eval").body) if isinstance(spec, str) else spec
        layers = [tuple(operator.index(value) for value in layer) for layer in layers]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"model.conv_feature_layers must look like '[(256, 2, 2)] * 4', but is {shown(spec)} instead "
            f"({shown(error)})"
        ) from error
    if not 0 < len(layers) <= MAX_LAYERS or any(
        len(layer) != 3 or min(layer) < 1 or max(layer) > MAX_WIDTH for layer in layers
    ):
        raise ConfigError(
            f"model.conv_feature_layers must list (dim, kernel, stride), from 1 to {MAX_WIDTH:,}, "
            f"of 1 to {MAX_LAYERS} layers, but is {shown(spec)} instead"
        )
    return layers  # type: ignore[return-value]


def _lists_layers(spec: Any) -> bool:
    try:
        parse_conv_layers(spec)
    except ConfigError:
        return False
    return True


CONV_LAYERS = Rule("a list of (dim, kernel, stride), such as '[(256, 2, 2)] * 4'", _lists_layers)


def _literal(node: ast.AST) -> Any:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _literal(node.left), _literal(node.right)
        if isinstance(node.op, ast.Mult) and not (
            isinstance(left, (list, tuple)) and isinstance(right, int) and 0 < right * len(left) <= MAX_LAYERS
        ):
            raise ValueError(f"a list times an integer makes 1 to {MAX_LAYERS} layers")
        return _OPERATORS[type(node.op)](left, right)
    return ast.literal_eval(node)


def conv_output_length(n_samples: Any, layers: Sequence[ConvLayer]) -> Any:
    """Number of latent frames for `n_samples` samples (an int, or an integer tensor of any shape)."""
    for _, kernel, stride in layers:
        n_samples = (n_samples - kernel) // stride + 1
    return n_samples


def receptive_field(layers: Sequence[ConvLayer]) -> int:
    """Samples that a latent frame is made of."""
    samples, stride_so_far = 1, 1
    for _, kernel, stride in layers:
        samples += (kernel - 1) * stride_so_far
        stride_so_far *= stride
    return samples


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, T), computed in float32."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        y = F.layer_norm(x.transpose(1, 2).float(), self.normalized_shape, weight, bias, self.eps)
        return y.transpose(1, 2).type_as(x)


class Fp32GroupNorm(nn.GroupNorm):
    """Group norm computed in float32 whatever the precision of its input."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.group_norm(x.float(), self.num_groups, weight, bias, self.eps).type_as(x)


class ConvFeatureExtractor(nn.Module):
    """Blocks of convolution, norm and GELU: (B, leads, samples) -> (B, C, F).

    With `mode="default"` only the first block has a norm (one group a channel, over time); with
    `mode="layer_norm"` every block has a layer norm over channels.
    """

    def __init__(
        self,
        in_channels: int,
        layers: Sequence[ConvLayer],
        mode: str = "default",
        bias: bool = False,
    ):
        super().__init__()
        self.sizes, self.dim = list(layers), layers[-1][0]
        self.stride = math.prod(stride for _, _, stride in layers)
        if mode not in EXTRACTOR_MODES:
            raise ConfigError(
                f"model.extractor_mode must be one of {', '.join(EXTRACTOR_MODES)}, but is {mode!r} instead"
            )
        self.conv_layers = nn.ModuleList()
        for i, (dim, kernel, stride) in enumerate(layers):
            conv = nn.Conv1d(in_channels, dim, kernel, stride=stride, bias=bias)
            nn.init.kaiming_normal_(conv.weight)
            # what does nothing stands where key names of published checkpoints count dropout and a transpose
            block: List[nn.Module] = [conv, nn.Identity()]
            if mode == "layer_norm":
                block.append(nn.Sequential(nn.Identity(), ChannelLayerNorm(dim)))
            elif i == 0:
                block.append(Fp32GroupNorm(dim, dim))
            block.append(nn.GELU())
            self.conv_layers.append(nn.Sequential(*block))
            in_channels = dim

    def n_frames(self, n_samples: Any) -> Any:
        """As `conv_output_length`, of its layers."""
        return conv_output_length(n_samples, self.sizes)

    def forward(self, x: Tensor, leads: Any = None) -> Tensor:
        for block in self.conv_layers:
            x = block(x)
        return x
