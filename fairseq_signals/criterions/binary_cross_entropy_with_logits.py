"""`binary_cross_entropy_with_logits`: multi-label classification (Oh et al., Sec. 4).

With `gamma_pos`, `gamma_neg` or `clip` it is the asymmetric loss of Ridnik et al. (ICCV 2021,
arXiv:2009.14119), with equal gammas and no clip the focal loss of Lin et al. (ICCV 2017, arXiv:1708.02002,
Eq. 4).
"""

from dataclasses import dataclass, field
from typing import Any, List, Optional, Tuple

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.classification import ClassificationCriterion, ClassificationReport
from fairseq_signals.errors import ConfigError


def asymmetric_loss(
    logits: Tensor,
    label: Tensor,
    gamma_pos: float = 0.0,
    gamma_neg: float = 0.0,
    clip: float = 0.0,
    pos_weight: Optional[Tensor] = None,
) -> Tensor:
    """The sum of -(1 - p)^gamma_pos log p over positives and -q^gamma_neg log(1 - q) over negatives.

    q is max(p - clip, 0): negatives that are less probable than `clip` do not count. Gradients go through the
    focusing factors too, as in the papers' analyses, and are finite for all logits.

    Args:
        logits: (B, C) float32; p is their sigmoid.
        label: (B, C), 1 or 0.
        gamma_pos, gamma_neg: focusing of positives and negatives, at least 0.
        clip: how far probabilities of negatives are shifted down, from 0 to below 1.
        pos_weight: (C,) factors on the losses of positives.
    """
    log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
    log_q, log_not_q = log_p, log_not_p
    if clip:
        p = log_p.exp()
        # below `clip` nothing is lost: q is 1 there, so that no gradient is 0 times infinity
        log_q = torch.where(p > clip, p - clip, 1.0).log()
        log_not_q = (log_not_p.exp() + clip).clamp(max=1.0).log()
    of_positives = (
        gamma_pos * log_not_p
    ).exp() * log_p  # powers as exponentials: finite slopes for gamma < 1
    of_negatives = (gamma_neg * log_q).exp() * log_not_q
    if pos_weight is not None:
        of_positives = pos_weight * of_positives
    return -(label * of_positives + (1 - label) * of_negatives).sum()


@dataclass
class BinaryCrossEntropyWithLogitsCriterionConfig(ClassificationReport):
    """Options of the loss, and what validation reports."""

    threshold: float = field(default=0.5, metadata={"help": "labels of a larger probability are predicted"})
    pos_weight: Optional[List[float]] = field(
        default=None, metadata={"help": "weight of positives, one for each class"}
    )
    gamma_pos: float = field(
        default=0.0, metadata={"help": "focusing of positives: how little those that are sure count (>= 0)"}
    )
    gamma_neg: float = field(
        default=0.0,
        metadata={"help": "focusing of negatives; asymmetric loss: 4 with clip 0.05, focal loss: 2 and 2"},
    )
    clip: float = field(
        default=0.0, metadata={"help": "negatives of a smaller probability do not count (0 to below 1)"}
    )


@register_criterion("binary_cross_entropy_with_logits", dataclass=BinaryCrossEntropyWithLogitsCriterionConfig)
class BinaryCrossEntropyWithLogitsCriterion(ClassificationCriterion):
    """Binary cross entropy summed over segments and classes; the sample size counts both."""

    def __init__(self, cfg: BinaryCrossEntropyWithLogitsCriterionConfig, task: Any):
        super().__init__(cfg, task)
        if not 0 < cfg.threshold < 1:
            raise ConfigError(f"criterion.threshold must be between 0 and 1, but is {cfg.threshold} instead")
        for name in ("gamma_pos", "gamma_neg"):
            if not 0 <= getattr(cfg, name) < float("inf"):
                raise ConfigError(f"criterion.{name} must be at least 0, but is {getattr(cfg, name)} instead")
        if not 0 <= cfg.clip < 1:
            raise ConfigError(f"criterion.clip must be from 0 to below 1, but is {cfg.clip} instead")
        self.threshold = cfg.threshold

    def outcome(self, logits: Tensor, label: Tensor) -> Tuple[Tensor, Tensor, int]:
        """The loss, right decisions and their number, over segments and classes."""
        cfg, pos_weight = self.cfg, self.class_weights("pos_weight", logits)
        if cfg.gamma_pos or cfg.gamma_neg or cfg.clip:
            loss = asymmetric_loss(logits, label, cfg.gamma_pos, cfg.gamma_neg, cfg.clip, pos_weight)
        else:
            loss = F.binary_cross_entropy_with_logits(logits, label, pos_weight=pos_weight, reduction="sum")
        right = (self.probabilities(logits.detach()) > cfg.threshold) == (label > 0)
        return loss, right.sum(), label.numel()

    def probabilities(self, logits: Tensor) -> Tensor:
        """The sigmoid of each logit: several classes can be present."""
        return logits.sigmoid()
