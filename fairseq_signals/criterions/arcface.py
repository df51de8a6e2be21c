"""ArcFace: additive angular margin between training patients (arXiv:1801.07698, Eq. 3)."""

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig


def arcface_logits(cosine: Tensor, target: Tensor, scale: float, margin: float) -> Tensor:
    """Scaled cosines with the margin added to the target's angle.

    Beyond an angle of pi - margin, where cos(theta + margin) would rise again, the target's cosine is lowered
    by margin x sin(margin) instead, so that the logit falls monotonically (for margins up to 2.3). The
    gradient is finite everywhere, cosines of exactly 1 and -1 included.

    Args:
        cosine: (B, C), in [-1, 1].
        target: (B,) class of each row.
        scale: factor on all logits, > 0.
        margin: in radians, 0 to pi.
    """
    own = cosine.gather(1, target[:, None])
    sine = (1.0 - own.pow(2)).clamp(min=1e-12).sqrt()
    shifted = own * math.cos(margin) - sine * math.sin(margin)
    shifted = torch.where(own > math.cos(math.pi - margin), shifted, own - margin * math.sin(margin))
    return scale * cosine.scatter(1, target[:, None], shifted)


def arcface_loss(cosine: Tensor, target: Tensor, scale: float, margin: float) -> Tensor:
    """Cross entropy of `arcface_logits`, summed over rows."""
    return F.cross_entropy(arcface_logits(cosine.float(), target, scale, margin), target, reduction="sum")


@dataclass
class ArcFaceCriterionConfig(OpenConfig):
    """Options of the loss; the defaults are the paper's (Sec. 5.1)."""

    scale: float = field(default=192.0, metadata={"help": "factor on all logits (> 0)"})
    margin: float = field(default=1.0, metadata={"help": "angular margin in radians, 0 to pi"})


@register_criterion("arcface", dataclass=ArcFaceCriterionConfig)
class ArcFaceCriterion(ECGCriterion):
    """Trains on classes; in validation it only hands over embeddings, which the task compares."""

    logged = ("loss", "accuracy")

    def __init__(self, cfg: ArcFaceCriterionConfig, task: Any):
        super().__init__(cfg, task)
        if not cfg.scale > 0:
            raise ConfigError(f"criterion.scale must be > 0, but is {cfg.scale} instead")
        if not 0 <= cfg.margin <= math.pi:
            raise ConfigError(f"criterion.margin must be from 0 to pi radians, but is {cfg.margin} instead")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over segments, their number, and what to log."""
        embedding = model(**sample["net_input"])
        n = len(embedding)
        cosine = model.cosine_logits(embedding)
        if "label" in sample:
            loss = arcface_loss(cosine, sample["label"], self.cfg.scale, self.cfg.margin)
            correct, labelled = (cosine.argmax(dim=1) == sample["label"]).sum(), n
        else:  # also in training: fairseq repeats a validation batch on workers that have no batch left
            loss, correct, labelled = cosine.sum() * 0.0, embedding.new_zeros(()), 0
        log = {"loss": loss.detach(), "correct": correct, "labelled": labelled}
        log.update(sample_size=n, nsignals=n)
        if not model.training and "is_probe" in sample:
            log["embedding"] = self.task.compared_features(model, embedding).detach()
            log.update({key: sample[key] for key in ("id", "patient_id", "record_id", "is_probe")})
        return loss, n, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Training loss and class accuracy; validation is the task's."""
        log_share(logging_outputs, "loss", "loss", "labelled")
        log_share(logging_outputs, "accuracy", "correct", "labelled", digits=5)
