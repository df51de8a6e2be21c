"""`ecg_text_clip`: ECGs and their reports near each other in a joint space (MERL, arXiv:2403.06659).

Any class that can be written is then scored without one labelled ECG: `fairseq-signals zeroshot`.
"""

from dataclasses import dataclass
from typing import Any, Optional, Tuple

from fairseq.models import register_model
from torch import Tensor

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import ConfiguredModel
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.text_encoder import TEXT_RULES, TextConfig
from fairseq_signals.safety.rules import broken


@dataclass
class ECGTextClipConfig(TextConfig, ECGTransformerConfig):
    """Options of the text side and the joint space, in addition to the encoder's."""


@dataclass
class ECGTextOutput:
    """What the criterion needs, for B segments.

    Attributes:
        a: (B, J) ECGs in the joint space, of length 1.
        b: (B, J) their texts; None where none were given.
        scale, bias: cosines times the one plus the other are scores; scalars.
    """

    a: Tensor
    b: Optional[Tensor]
    scale: Tensor
    bias: Tensor


@register_model("ecg_text_clip", dataclass=ECGTextClipConfig)
class ECGTextClipModel(ECGText, ConfiguredModel):
    """`ECGText` as fairseq trains it; its encoder may begin with the weights of `model_path`."""

    def __init__(self, cfg: ECGTextClipConfig):
        options = {name: getattr(cfg, name) for name in TEXT_RULES}
        problems = broken(options, TEXT_RULES, "model.")
        if problems:
            raise ConfigError("; ".join(problems))
        super().__init__(begin_encoder(cfg), TextConfig(**options))
        self.cfg = cfg

    def forward(  # type: ignore[override]
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        text: Optional[Tensor] = None,
    ) -> ECGTextOutput:
        """Each segment and its text in the joint space.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            text: (B, M) long, pieces of each segment's text, or (B, E), vectors of it; None: ECGs alone.
        """
        a = super().forward(source, padding_mask, lead_present)
        b = None if text is None else self.of_texts(text)
        return ECGTextOutput(a, b, self.joint.scale, self.joint.bias)

    @staticmethod
    def two_representations(output: ECGTextOutput) -> Tuple[Tensor, Optional[Tensor]]:
        """What the loss compares: of ECGs and of texts, (B, J) each."""
        return output.a, output.b

    @staticmethod
    def global_representation(output: Any) -> Tensor:
        """The vector of each ECG, (B, J)."""
        return output.a
