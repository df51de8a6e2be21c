"""`cross_entropy_with_logits`: classification where a segment is of exactly one class."""

from dataclasses import dataclass, field
from typing import Any, List, Optional, Tuple

import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.classification import ClassificationCriterion, ClassificationReport
from fairseq_signals.errors import ConfigError


@dataclass
class CrossEntropyWithLogitsCriterionConfig(ClassificationReport):
    """Options of the loss, and what validation reports."""

    class_weight: Optional[List[float]] = field(
        default=None, metadata={"help": "weight of the segments of each class"}
    )
    label_smoothing: float = field(
        default=0.0, metadata={"help": "share of each label that is spread over all classes (0 to below 1)"}
    )


@register_criterion("cross_entropy_with_logits", dataclass=CrossEntropyWithLogitsCriterionConfig)
class CrossEntropyWithLogitsCriterion(ClassificationCriterion):
    """Cross entropy of the softmax, summed over segments; the sample size is their number."""

    def __init__(self, cfg: CrossEntropyWithLogitsCriterionConfig, task: Any):
        super().__init__(cfg, task)
        if not 0 <= cfg.label_smoothing < 1:
            raise ConfigError(
                f"criterion.label_smoothing must be from 0 to below 1, but is {cfg.label_smoothing} instead"
            )

    def outcome(self, logits: Tensor, label: Tensor) -> Tuple[Tensor, Tensor, int]:
        """The loss, segments whose most probable class is right, and segments."""
        weight, target = self.class_weights("class_weight", logits), label.argmax(dim=1)
        smoothing = self.cfg.label_smoothing
        loss = F.cross_entropy(logits, target, weight, reduction="sum", label_smoothing=smoothing)
        return loss, (logits.detach().argmax(dim=1) == target).sum(), len(label)

    def probabilities(self, logits: Tensor) -> Tensor:
        """The softmax: probabilities of classes that exclude each other."""
        return logits.softmax(dim=1)
