"""`byol`: a student predicts its teacher's embedding of another view (BYOL, arXiv:2006.07733)."""

from dataclasses import dataclass
from typing import Dict

from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.views import ViewsCriterion
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.joint_embedding import byol_costs


@dataclass
class BYOLConfig(OpenConfig):
    """There are no options; teacher and predictor are the model's."""


@register_criterion("byol", dataclass=BYOLConfig)
class BYOLCriterion(ViewsCriterion):
    """The sum of both directions of a pair (Sec. 3.1)."""

    needs = ("predicted", "teacher")

    def pair(self, one: Dict[str, Tensor], other: Dict[str, Tensor]) -> Tensor:
        return 2 * byol_costs(one["predicted"], other["teacher"]).mean()
