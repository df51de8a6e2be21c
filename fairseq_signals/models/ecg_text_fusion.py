"""`ecg_text_fusion`: masked ECGs and masked texts, each told from what is left of both.

M3AE (arXiv:2209.07098) and D-BETA (arXiv:2410.02131) with our parts: tokens, masks and decoder are those of
`ecg_mae`, the text side and the joint space those of `ecg_text_clip`. Departures: texts are read with their
padding masked; matching is told from means, not from first tokens; the decoder reads the last fusion layer.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional

import torch
import torch.nn.functional as F
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_mae import BOTH, ECGMAEConfig, ECGMAEModel, Reconstruction
from fairseq_signals.modules.ecg_text import JointSpace
from fairseq_signals.modules.fusion import Fusion
from fairseq_signals.modules.pooling import mean_over_frames
from fairseq_signals.modules.text_encoder import PAD, TEXT_RULES, TextConfig, TextEncoder
from fairseq_signals.safety.rules import Rule, broken, integer

#: What options of fusion must be, beside those of `TEXT_RULES`.
FUSION_RULES: Dict[str, Rule] = {**TEXT_RULES, "fusion_layers": integer(1, 128)}


@dataclass
class ECGTextFusionConfig(TextConfig, ECGMAEConfig):
    """Options of fusion, in addition to those of the text side, masks, decoder and encoder."""

    initial_scale: float = field(
        default=10.0, metadata={"help": "factor on cosines at first; it is learnt, and at most 100"}
    )
    fusion_layers: int = field(
        default=2, metadata={"help": "layers in which tokens of ECG and text look at each other"}
    )


@dataclass
class FusionOutput:
    """What the criterion needs, for B segments and texts of M pieces.

    Attributes:
        redrawn: the samples of ECGs.
        pieces: (B, M, V) scores of what each piece was.
        match: (B,) score of the text being the ECG's.
        a, b: (B, J) ECGs and texts in the joint space, before they saw each other, of length 1.
        scale, bias: as of `ecg_text_clip`.
    """

    redrawn: Reconstruction
    pieces: Tensor
    match: Tensor
    a: Tensor
    b: Tensor
    scale: Tensor
    bias: Tensor


@register_model("ecg_text_fusion", dataclass=ECGTextFusionConfig)
class ECGTextFusionModel(ECGMAEModel):
    """The encoder on the ECG's tokens that are left, the text side, and layers that see both."""

    views_for_teacher = False

    def __init__(self, cfg: ECGTextFusionConfig):
        check_fusion_config(cfg)
        super().__init__(cfg)
        options = TextConfig(**{name: getattr(cfg, name) for name in TEXT_RULES})
        dim = self.encoder.dim
        self.text = TextEncoder(options, self.encoder.cfg)
        self.joint = JointSpace(dim, options)
        self.fusion = Fusion(self.encoder.cfg, cfg.fusion_layers)
        self.words = nn.Linear(dim, cfg.vocab_size)
        self.match = nn.Linear(2 * dim, 1)

    def forward(  # type: ignore[override]
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        text: Optional[Tensor] = None,
        keep: Optional[Tensor] = None,
    ) -> FusionOutput:
        """Tell what is masked of each segment and its text.

        Args:
            source, padding_mask, lead_present, keep: as of `ecg_mae`.
            text: (B, M) long, pieces with masks among them.
        """
        if text is None:
            raise ConfigError("model ecg_text_fusion reads texts: use task ecg_text_pretraining")
        inputs = {"source": source, "padding_mask": padding_mask, "lead_present": lead_present}
        kept = self.encode_kept(self.maskings[0], inputs, keep)
        frames, frames_padding = kept.out.x, kept.out.padding_mask
        pieces, padding = self.text.of_pieces(text), text == PAD
        a = self.joint.ecg(mean_over_frames(frames, frames_padding))
        b = self.joint.text(mean_over_frames(pieces, padding))
        frames, pieces = self.fusion(frames, frames_padding, pieces, padding)
        both = [mean_over_frames(frames, frames_padding), mean_over_frames(pieces, padding)]
        return FusionOutput(
            self.redraw(self.decoders[0], kept, frames, inputs),
            self.words(pieces),
            self.match(torch.cat(both, dim=1)).squeeze(1),
            F.normalize(a.float(), dim=-1),
            F.normalize(b.float(), dim=-1),
            self.joint.scale,
            self.joint.bias,
        )

    @staticmethod
    def global_representation(output: Any) -> Tensor:
        """The vector of each ECG in the joint space, (B, J)."""
        return output.a


def check_fusion_config(cfg: ECGTextFusionConfig) -> None:
    """Raise ConfigError for values that make no fusion; the message names the key."""
    problems = broken({name: getattr(cfg, name) for name in FUSION_RULES}, FUSION_RULES, "model.")
    if not problems and (cfg.vocab_size < 1 or cfg.text_vector_dim):
        problems.append(
            f"model.vocab_size={cfg.vocab_size} and model.text_vector_dim={cfg.text_vector_dim}: words are "
            "masked, so that texts must come as pieces; remove task.text_vectors"
        )
    if cfg.mask_unit == BOTH or cfg.projection != "none":
        problems.append(
            f"model.mask_unit={cfg.mask_unit} and model.projection={cfg.projection}: texts see one masked "
            "ECG, and the joint space is its projection; choose a single unit, and none"
        )
    if problems:
        raise ConfigError("; ".join(problems))
