"""`ecg_cpc`: a causal context tells which latent frame comes later (CPC).

T. Mehari, N. Strodthoff, Comput. Biol. Med. 2022, arXiv:2103.12676; M. A. Al-Masud et al., arXiv:2509.25095,
as their published code has it: one step ahead, so many frames, not all steps up to it.
"""

import math
from dataclasses import dataclass, field
from typing import Optional

import torch
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.modules.conv_features import parse_conv_layers, receptive_field
from fairseq_signals.modules.encoder_config import S4
from fairseq_signals.modules.input_norm import JOINT, LEAD
from fairseq_signals.safety.rules import broken, integer


@dataclass
class ECGCPCConfig(ECGTransformerConfig):
    """Options of the prediction, in addition to the encoder's."""

    context: str = field(default=S4, metadata={"help": "layers over frames; causal ones"})
    s4_causal: bool = field(default=True, metadata={"help": "no frame depends on later ones"})
    position: str = field(default="none", metadata={"help": "not conv, which looks ahead"})
    extractor_mode: str = field(
        default="layer_norm", metadata={"help": "not default, whose norm looks ahead"}
    )
    step: int = field(
        default=14, metadata={"help": "K, how many frames ahead the frame is that is to be told"}
    )
    num_negatives: int = field(default=128, metadata={"help": "other frames of the segment, drawn at random"})
    anchor_step: int = field(
        default=1,
        metadata={"help": "frames from one that predicts to the next: less time and memory, same loss"},
    )


_RULES = {
    "step": integer(1, 1 << 16),
    "num_negatives": integer(1, 1 << 16),
    "anchor_step": integer(1, 1 << 16),
}


@dataclass
class CPCOutput:
    """Scores of A anchors of each of B segments.

    Attributes:
        logits: (B, A, 1 + n) of candidates, the frame that is to be told first.
        valid: (B, A) bool, False where that frame is padding.
        x: (B, F, D) contextual frames.
        padding_mask: (B, F) bool or None.
    """

    logits: Tensor
    valid: Tensor
    x: Tensor
    padding_mask: Optional[Tensor]


@register_model("ecg_cpc", dataclass=ECGCPCConfig)
class ECGCPCModel(ConfiguredModel):
    """The shared encoder, causal, and a linear map from its frames to latent ones."""

    def __init__(self, cfg: ECGCPCConfig):
        super().__init__()
        check_cpc_config(cfg)
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        self.final_proj = nn.Linear(self.encoder.dim, self.encoder.latent_dim, bias=False)
        nn.init.normal_(self.final_proj.weight, std=0.02)  # at first all candidates are alike

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        negatives: Optional[Tensor] = None,
    ) -> CPCOutput:
        """Compare each anchor's prediction with the frame K later and with others.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            negatives: (B, A, n) frames to compare with, or None: they are drawn.

        Raises:
            ConfigError: segments have not K + 2 frames.
        """
        out, step = self.encoder(source, padding_mask, lead_present=lead_present), self.cfg.step
        b, n_frames = out.x.shape[:2]
        if n_frames < step + 2:
            raise ConfigError(
                f"model.step is {step} frames ahead, but segments have {n_frames} frames: lower it"
            )
        anchor = torch.arange(0, n_frames - step, self.cfg.anchor_step, device=source.device)
        told = anchor + step
        count = out.x.new_full((b,), n_frames, dtype=torch.long)
        if out.padding_mask is not None:
            count = (~out.padding_mask).sum(dim=1)
        scores = self.final_proj(out.x[:, anchor]) @ out.latents.transpose(1, 2)  # (B, A, F)
        if negatives is None:
            shape = (b, len(anchor), self.cfg.num_negatives)
            negatives = other_frames(told[None, :, None], (count - 1).clamp(min=1)[:, None, None], shape)
        candidates = torch.cat([told[None, :, None].expand(b, -1, 1), negatives], dim=2)
        logits = scores.gather(2, candidates)
        return CPCOutput(logits, told < count[:, None], out.x, out.padding_mask)


def other_frames(told: Tensor, n_others: Tensor, shape: tuple) -> Tensor:
    """Frames drawn uniformly, with replacement, from all but the told one: integers of `shape`.

    Args:
        told: the frame that is left out.
        n_others: how many others there are.
    """
    drawn = (torch.rand(shape, device=told.device) * n_others).long()
    return drawn + (drawn >= told)


def check_cpc_config(cfg: ECGCPCConfig) -> None:
    """Raise ConfigError for values that make no such model; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
    if cfg.context != S4 or not cfg.s4_causal:
        problems.append(
            "model.context must be s4, and model.s4_causal true: other frames would tell what is ahead"
        )
    if cfg.frontend == "conv" and cfg.extractor_mode == "default":
        problems.append("model.extractor_mode must be layer_norm: the norm of default is over all frames")
    if cfg.input_norm in (JOINT, LEAD):
        problems.append(
            f"model.input_norm={cfg.input_norm} divides by a deviation of the whole segment, of what is "
            "ahead too: set it to none or fixed"
        )
    if cfg.frontend == "conv":
        layers = parse_conv_layers(cfg.conv_feature_layers)
        samples, stride = receptive_field(layers), math.prod(stride for _, _, stride in layers)
        if samples > cfg.step * stride:
            problems.append(
                f"model.step={cfg.step} frames of {stride} samples are fewer than the {samples} of which "
                f"a frame is made, so that it holds what is ahead: set it to {-(-samples // stride)} or more"
            )
    if problems:
        raise ConfigError("; ".join(problems))
