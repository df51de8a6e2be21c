"""`ecg_distillation`: a student of few leads learns from a teacher of all, its own moving average.

After DINO (arXiv:2104.14294) and TolerantECG (arXiv:2507.09887); the formulation is our own.
"""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.models import register_model
from torch import Tensor

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.distilling import (
    NO_TEACHER,
    SEGMENT,
    DistillationConfig,
    Distilled,
    Distilling,
    divided,
)
from fairseq_signals.models.ecg_transformer import ECGTransformerConfig
from fairseq_signals.models.pretrained import begin_encoder


@dataclass
class ECGDistillationConfig(DistillationConfig, ECGTransformerConfig):
    """Options of teacher and heads, in addition to the encoder's."""

    distill_level: str = field(
        default=SEGMENT, metadata={"help": "what is compared: 'segment' (mean over frames) or 'frames'"}
    )


@register_model("ecg_distillation", dataclass=ECGDistillationConfig)
class ECGDistillationModel(Distilling):
    """The shared encoder as the student, with a teacher."""

    def __init__(self, cfg: ECGDistillationConfig):
        super().__init__()
        if cfg.distill_level == NO_TEACHER:
            raise ConfigError("model.distill_level must be segment or frames, but is none instead")
        self.cfg = cfg
        self.encoder = begin_encoder(cfg)
        self.add_teacher(cfg)

    def forward(
        self,
        source: Tensor,
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
        is_teacher: Optional[Tensor] = None,
        contribute: bool = True,
    ) -> Distilled:
        """What student and teacher make of their rows.

        Args:
            source: (B, leads, samples) mV; absent leads are zeros.
            padding_mask: (B, samples) bool, True on padding, or None.
            lead_present: (B, leads) bool, True where a lead is present, or None: all are.
            is_teacher: (B,) bool, True on the teacher's rows; the student's are the others.
            contribute: count this batch in statistics over all data-parallel workers.
        """
        if is_teacher is None:
            raise ConfigError(
                "model ecg_distillation needs views of a teacher: set task.student_views to 1 or more"
            )
        students, teachers = divided(
            is_teacher, source=source, padding_mask=padding_mask, lead_present=lead_present
        )
        out = self.encoder(**students, mask=self.cfg.apply_mask)
        return self.distil(out.x, out.padding_mask, teachers, contribute)
