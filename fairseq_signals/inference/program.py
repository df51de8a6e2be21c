"""A network as one function of tensors, which `export` writes down: scaling, encoder, head."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from fairseq_signals.ecg.normalize import SEGMENT, Scaling
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.inference.pipeline import Outputs
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.heads import PooledEncoder
from fairseq_signals.modules.s4 import S4


class Program(nn.Module):
    """A network with its outputs in an order in place of names; it scales first, as `Scaling` does.

    Args:
        head: what makes probabilities, or values in their units, of logits.
    """

    def __init__(self, network: PooledEncoder, names: list[str], scaling: Scaling, head: nn.Module):
        super().__init__()
        self.outputs, self.scaling, self.head = Outputs(network, of_network(names)), scaling, head

    def forward(
        self,
        source: Tensor,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        lead_present: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        if mean is not None and deviation is not None:
            spread = torch.where(deviation > 0, deviation, 1.0)[..., None]
            source = (source - mean[..., None]) / spread * (deviation > 0)[..., None]
        elif self.scaling.scale != 1:
            source = source * self.scaling.scale
        if self.scaling.normalize == SEGMENT:
            constant = (source == source[..., :1]).all(dim=-1, keepdim=True)
            source = (source - source.mean(dim=-1, keepdim=True)).masked_fill(constant, 0.0)
            spread = source.square().mean(dim=-1, keepdim=True).sqrt()
            source = source / torch.where(spread > 0, spread, 1.0)
        found = self.outputs(source, lead_present)
        if "logit" in found:
            found["logit"] = self.head(found["logit"])
        return tuple(found.values())


class LeadProgram(Program):
    """The same of a model that is told which leads are present."""

    def forward(  # type: ignore[override]
        self,
        source: Tensor,
        lead_present: Tensor,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        return super().forward(source, mean, deviation, lead_present)


def of_network(names: list[str]) -> list[str]:
    """What a network gives, of which a program's outputs are made."""
    return ["logit" if name in ("probability", "value") else name for name in names]


class _InUnits(nn.Module):
    """Standardised numbers (B, K) in their targets' units."""

    mean: Tensor
    std: Tensor

    def __init__(self, targets: TargetTable):
        super().__init__()
        self.register_buffer("mean", torch.tensor(targets.means))
        self.register_buffer("std", torch.tensor(targets.stds))

    def forward(self, standardised: Tensor) -> Tensor:
        return standardised * self.std + self.mean


def head_of(model: LoadedModel) -> nn.Module:
    """What makes probabilities, or values in their units, of a model's logits."""
    if model.targets is not None:
        return _InUnits(model.targets)
    return nn.Softmax(dim=-1) if model.exclusive else nn.Sigmoid()


def for_tracing(network: PooledEncoder, n_samples: int) -> PooledEncoder:
    """A copy on the CPU, for segments of one length, whose weights are as they are used.

    It is without options that only training has, and without the side of texts.
    """
    traced = copy.deepcopy(network).cpu().eval()
    traced.encoder.cfg = replace(traced.encoder.cfg, encoder_chunk=0, checkpoint_activations=False)
    if isinstance(traced, ECGText):  # a program has no texts to read
        del traced.text, traced.joint.text, traced.tokenizer
    if traced.encoder.conv_pos is not None:
        positions = traced.encoder.conv_pos.pos_conv
        positions[0] = _without_weight_norm(positions[0])
    for module in traced.modules():
        if isinstance(module, S4):
            module.fix(traced.encoder.n_frames(n_samples))
    for parameter in traced.parameters():
        parameter.requires_grad_(False)
    return traced


def _without_weight_norm(conv: nn.Module) -> nn.Conv1d:
    """The convolution with the weight that its norm and direction make.

    PyTorch's `remove_parametrizations` is not for copies: it takes the weight from the original, too.
    """
    assert isinstance(conv, nn.Conv1d)
    assert conv.bias is not None
    plain = nn.Conv1d(
        conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=conv.padding[0], groups=conv.groups
    )
    plain.load_state_dict({"weight": conv.weight.detach(), "bias": conv.bias.detach()})
    return plain.eval()
