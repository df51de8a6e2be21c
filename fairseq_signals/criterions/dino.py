"""`dino`: a student predicts what its teacher makes of other views (DINO, arXiv:2104.14294; BYOL's cosine).

Whether vectors are compared by their cosine or shares of prototypes by their cross entropy, of segments or
of frames, is a matter of the model's heads: `model.distill_loss`, `model.distill_level`.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.cmsc import check_pairs
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.models.distilling import Distilled
from fairseq_signals.modules.dino import cosine_costs, dino_costs
from fairseq_signals.modules.pooling import mean_over_frames

OWN, OTHER, BOTH = "own", "other", "both"


@dataclass
class DistillationTermConfig(OpenConfig):
    """Options of the term, in addition to the model's."""

    student_temp: float = field(
        default=0.1, metadata={"help": "prototypes: temperature of the student (> 0)"}
    )
    teacher_temp: float = field(
        default=0.04, metadata={"help": "prototypes: temperature of the teacher (> 0)"}
    )
    teacher_segments: str = field(
        default=OWN,
        metadata={
            "help": "the teacher's segments that a student's view is compared with: its 'own', the 'other' "
            "of its pair, or 'both'"
        },
    )


def check_term(cfg: DistillationTermConfig, task: Any) -> None:
    """Raise ConfigError for options that cannot be, or that the task has no data for; names the key."""
    if not getattr(task, "student_views", True):
        raise ConfigError(
            "criterion dino compares students with their teacher, but task.student_views is 0: set it to 1 "
            "or more, and choose a model with a teacher, such as ecg_distillation"
        )
    for name in ("student_temp", "teacher_temp"):
        if not getattr(cfg, name) > 0:
            raise ConfigError(f"criterion.{name} must be > 0, but is {getattr(cfg, name)} instead")
    if cfg.teacher_segments not in (OWN, OTHER, BOTH):
        raise ConfigError(
            f"criterion.teacher_segments must be own, other or both, but is {cfg.teacher_segments!r} instead"
        )
    if cfg.teacher_segments != OWN:
        what = f"criterion.teacher_segments={cfg.teacher_segments}"
        check_pairs(what, getattr(task, "pairs", True))


def rows_of_students(sample: Dict[str, Any]) -> Dict[str, Any]:
    """The batch without what belongs to the teacher's rows; the batch itself where there are none."""
    is_teacher = sample["net_input"].get("is_teacher")
    if is_teacher is None:
        return sample
    return {
        key: value[~is_teacher] if torch.is_tensor(value) and len(value) == len(is_teacher) else value
        for key, value in sample.items()
    }


def compared_rows(sample: Dict[str, Any], teacher_segments: str) -> Tuple[Tensor, Tensor]:
    """Which row of the student's is compared with which of the teacher's: two lists of equal length."""
    is_teacher = sample["net_input"]["is_teacher"]
    # rows of an item are of a segment, or of the two of a pair
    item, own = (
        sample[key][~is_teacher][:, None] == sample[key][is_teacher] for key in ("id", "segment_row")
    )  # (S, T)
    chosen = own if teacher_segments == OWN else item if teacher_segments == BOTH else item & ~own
    student, teacher = chosen.nonzero(as_tuple=True)
    return student, teacher


def distillation_term(
    cfg: DistillationTermConfig, distilled: Distilled, sample: Dict[str, Any]
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """The mean loss over what is compared, all of which weigh alike, and what to log."""
    of_frames = distilled.student.dim() == 3
    if of_frames and cfg.teacher_segments != OWN:
        raise ConfigError(
            f"criterion.teacher_segments={cfg.teacher_segments} compares segments that do not coincide in "
            "time, but model.distill_level is frames; set it to segment, or teacher_segments to own"
        )
    student_rows, teacher_rows = compared_rows(sample, cfg.teacher_segments)
    student, teacher = distilled.student[student_rows], distilled.teacher[teacher_rows]
    if distilled.centre is None:
        costs = cosine_costs(student, teacher)
    else:
        costs = dino_costs(student, teacher, distilled.centre, cfg.student_temp, cfg.teacher_temp)
    if of_frames:
        padding = distilled.padding_mask
        costs = mean_over_frames(costs[..., None], None if padding is None else padding[student_rows])
    return costs.mean(), {"spread": spread(distilled, cfg.student_temp)}


@torch.no_grad()
def spread(distilled: Distilled, student_temp: float) -> Tensor:
    """1 - squared length of the mean of unit vectors, the student's: 0 where all are alike, near 1 at best.

    Shares of prototypes are such vectors by their square roots.
    """
    x = distilled.student.float()
    x = F.normalize(x, dim=-1) if distilled.centre is None else (x / student_temp).softmax(dim=-1).sqrt()
    if x.dim() == 3:
        x = mean_over_frames(x, distilled.padding_mask)
    return 1 - x.mean(dim=0).pow(2).sum()


@register_criterion("dino", dataclass=DistillationTermConfig)
class DinoCriterion(ECGCriterion):
    """The term alone, on a model with a teacher."""

    logged = ("loss", "spread")

    def __init__(self, cfg: DistillationTermConfig, task: Any):
        super().__init__(cfg, task)
        check_term(cfg, task)

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of segments, that number, and what to log."""
        distilled = model(**sample["net_input"], contribute=not sample.get("repeated", False))
        loss, log = distillation_term(self.cfg, distilled, sample)
        n = len(distilled.teacher)
        loss = loss * n
        log = {name: value * n for name, value in log.items()}
        return loss, n, {"loss": loss.detach(), "sample_size": n, "nsignals": len(sample["id"]), **log}

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        for name in DinoCriterion.logged:
            log_share(logging_outputs, name, name, "sample_size")
