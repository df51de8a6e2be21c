"""`wav2vec2_with_cmsc`: L = L_local + L_global (Oh et al., Eq. 5)."""

from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.cmsc import CMSCCriterionConfig, check_cmsc_config, check_pairs, global_term
from fairseq_signals.criterions.dino import rows_of_students
from fairseq_signals.criterions.ecg_wav2vec2 import (
    ECGWav2Vec2Criterion,
    ECGWav2Vec2CriterionConfig,
    masked_output,
)


@dataclass
class Wav2Vec2WithCMSCCriterionConfig(ECGWav2Vec2CriterionConfig, CMSCCriterionConfig):
    """The options of both terms, and the weight of the second."""

    cmsc_weight: float = field(default=1.0, metadata={"help": "weight of the global term"})


@register_criterion("wav2vec2_with_cmsc", dataclass=Wav2Vec2WithCMSCCriterionConfig)
class Wav2Vec2WithCMSCCriterion(ECGWav2Vec2Criterion):
    """The local term summed over masked frames, plus the global term times their number."""

    def __init__(self, cfg: Wav2Vec2WithCMSCCriterionConfig, task: Any):
        super().__init__(cfg, task)
        check_cmsc_config(cfg)
        if cfg.cmsc_weight != 0:
            check_pairs("criterion wav2vec2_with_cmsc", getattr(task, "pairs", True))
        self.logged = (*self.logged, "cmsc_loss")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, Tensor, Dict]:
        """The loss summed over masked frames, their number, and what to log."""
        output = masked_output(model, sample)
        loss, sample_size, log = self.terms(output, sample)
        students = rows_of_students(sample)
        cmsc, cmsc_log = global_term(self.cfg, model.global_representation(output), students)
        cmsc = self.cfg.cmsc_weight * cmsc * sample_size
        loss = loss + cmsc
        log.update(cmsc_log, cmsc_loss=cmsc.detach(), loss=loss.detach())
        log.update(sample_size=sample_size, nsignals=len(sample["id"]))
        return loss, sample_size, log
