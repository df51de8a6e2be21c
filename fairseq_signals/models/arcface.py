"""`arcface`: patient identification with an additive angular margin (Oh et al., Sec. 4)."""

from dataclasses import dataclass

from fairseq.models import BaseFairseqModel, register_model

from fairseq_signals.models.finetuning import FinetuningConfig, FreezeAtFirst
from fairseq_signals.modules.heads import ECGIdentifier


@dataclass
class ArcFaceConfig(FinetuningConfig):
    """The options of `FinetuningConfig`."""


@register_model("arcface", dataclass=ArcFaceConfig)
class ArcFaceModel(FreezeAtFirst, ECGIdentifier, BaseFairseqModel):
    """`ECGIdentifier` on a pre-trained encoder, or from scratch."""
