"""`ecg_transformer_classifier`: arrhythmia classification (Oh et al., Sec. 4)."""

from dataclasses import dataclass
from typing import Any

from fairseq.models import BaseFairseqModel, register_model

from fairseq_signals.models.config import check_keys
from fairseq_signals.models.finetuning import FinetuningConfig, FreezeAtFirst, build_encoder
from fairseq_signals.modules.heads import ECGClassifier


@dataclass
class ECGTransformerClassifierConfig(FinetuningConfig):
    """The options of `FinetuningConfig`."""


@register_model("ecg_transformer_classifier", dataclass=ECGTransformerClassifierConfig)
class ECGTransformerClassifierModel(FreezeAtFirst, ECGClassifier, BaseFairseqModel):
    """`ECGClassifier` on a pre-trained encoder, or from scratch."""

    @classmethod
    def build_model(
        cls, cfg: ECGTransformerClassifierConfig, task: Any = None
    ) -> "ECGTransformerClassifierModel":
        check_keys(ECGTransformerClassifierConfig, cfg, "model")
        model = cls(build_encoder(cfg), cfg.num_labels, cfg.final_dropout)
        model.freeze_finetune_updates = cfg.freeze_finetune_updates
        return model
