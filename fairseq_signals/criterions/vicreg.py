"""`vicreg`: views are near, columns vary and are not correlated (VICReg, arXiv:2105.04906)."""

from dataclasses import dataclass, field
from typing import Dict

from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.views import ViewsCriterion
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.joint_embedding import vicreg_terms


@dataclass
class VICRegConfig(OpenConfig):
    """What the terms weigh."""

    invariance_weight: float = field(default=25.0, metadata={"help": "of the distance between views"})
    variance_weight: float = field(default=25.0, metadata={"help": "of the deviations"})
    covariance_weight: float = field(default=1.0, metadata={"help": "of the covariances"})
    variance: ChoiceEnum(("mean", "sum")) = field(  # type: ignore[valid-type]
        default="mean", metadata={"help": "of both views (the authors' code has the mean, SMD-SSL the sum)"}
    )


@register_criterion("vicreg", dataclass=VICRegConfig)
class VICRegCriterion(ViewsCriterion):
    """The weighted sum of the three terms (Eq. 6)."""

    def pair(self, one: Dict[str, Tensor], other: Dict[str, Tensor]) -> Tensor:
        return vicreg_loss(self.cfg, one["g"], other["g"])


def vicreg_loss(cfg: VICRegConfig, a: Tensor, b: Tensor) -> Tensor:
    """The weighted sum of the terms of two views (N, P), a scalar."""
    terms = vicreg_terms(a, b)
    weight = cfg.variance_weight / (2 if str(cfg.variance) == "mean" else 1)
    return (
        cfg.invariance_weight * terms.invariance
        + weight * terms.variance
        + cfg.covariance_weight * terms.covariance
    )
