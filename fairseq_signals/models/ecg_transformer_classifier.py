"""`ecg_transformer_classifier`: arrhythmia classification (Oh et al., Sec. 4)."""

from dataclasses import dataclass

from fairseq.models import BaseFairseqModel, register_model

from fairseq_signals.models.finetuning import FinetuningConfig, FreezeAtFirst
from fairseq_signals.modules.heads import ECGClassifier


@dataclass
class ECGTransformerClassifierConfig(FinetuningConfig):
    """The options of `FinetuningConfig`."""


@register_model("ecg_transformer_classifier", dataclass=ECGTransformerClassifierConfig)
class ECGTransformerClassifierModel(FreezeAtFirst, ECGClassifier, BaseFairseqModel):
    """`ECGClassifier` on a pre-trained encoder, or from scratch."""
