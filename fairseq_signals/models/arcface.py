"""`arcface`: patient identification with an additive angular margin (Oh et al., Sec. 4)."""

from dataclasses import dataclass
from typing import Any

from fairseq.models import BaseFairseqModel, register_model

from fairseq_signals.models.config import check_keys
from fairseq_signals.models.finetuning import FinetuningConfig, FreezeAtFirst, build_encoder
from fairseq_signals.modules.heads import ECGIdentifier


@dataclass
class ArcFaceConfig(FinetuningConfig):
    """The options of `FinetuningConfig`."""


@register_model("arcface", dataclass=ArcFaceConfig)
class ArcFaceModel(FreezeAtFirst, ECGIdentifier, BaseFairseqModel):
    """`ECGIdentifier` on a pre-trained encoder, or from scratch."""

    @classmethod
    def build_model(cls, cfg: ArcFaceConfig, task: Any = None) -> "ArcFaceModel":
        check_keys(ArcFaceConfig, cfg, "model")
        model = cls(build_encoder(cfg), cfg.num_labels, cfg.final_dropout)
        model.freeze_finetune_updates = cfg.freeze_finetune_updates
        return model
