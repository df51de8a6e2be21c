"""`moco_v3`: a view finds its teacher's embedding of another among all segments' (arXiv:2104.02057)."""

from dataclasses import dataclass, field
from typing import Any, Dict

from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.views import ViewsCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.joint_embedding import moco_loss


@dataclass
class MoCoV3Config(OpenConfig):
    """The temperature; teacher and predictor are the model's."""

    temp: float = field(default=0.2, metadata={"help": "softmax temperature (> 0)"})


@register_criterion("moco_v3", dataclass=MoCoV3Config)
class MoCoV3Criterion(ViewsCriterion):
    """The sum of both directions of a pair (Alg. 1)."""

    needs = ("predicted", "teacher")

    def __init__(self, cfg: MoCoV3Config, task: Any):
        super().__init__(cfg, task)
        if not cfg.temp > 0:
            raise ConfigError(f"criterion.temp must be > 0, but is {cfg.temp} instead")

    def pair(self, one: Dict[str, Tensor], other: Dict[str, Tensor]) -> Tensor:
        return 2 * moco_loss(one["predicted"], other["teacher"], self.cfg.temp)
