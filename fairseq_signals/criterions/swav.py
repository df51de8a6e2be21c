"""`swav`: a view predicts which prototypes another view of its segment is given (SwAV, arXiv:2006.09882)."""

from dataclasses import dataclass, field
from typing import Any, Dict

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.views import ViewsCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.joint_embedding import sinkhorn, swav_costs


@dataclass
class SwAVConfig(OpenConfig):
    """Options of codes and predictions; the prototypes are the model's."""

    temp: float = field(default=0.1, metadata={"help": "softmax temperature of predictions (> 0)"})
    epsilon: float = field(default=0.05, metadata={"help": "of the codes: the larger, the softer (> 0)"})
    iterations: int = field(default=3, metadata={"help": "of Sinkhorn and Knopp's algorithm"})


@register_criterion("swav", dataclass=SwAVConfig)
class SwAVCriterion(ViewsCriterion):
    """Cross entropy with the codes of the other view (Eq. 1 and 2).

    Codes share out the prototypes among the rows of a batch and those of the model's queue.
    """

    needs = ("scores",)

    def __init__(self, cfg: SwAVConfig, task: Any):
        super().__init__(cfg, task)
        for name in ("temp", "epsilon", "iterations"):
            if not getattr(cfg, name) > 0:
                raise ConfigError(f"criterion.{name} must be > 0, but is {getattr(cfg, name)} instead")

    def pair(self, one: Dict[str, Tensor], other: Dict[str, Tensor]) -> Tensor:
        scores = [other[name] for name in ("scores", "earlier_scores") if name in other]
        codes = sinkhorn(torch.cat(scores), self.cfg.epsilon, self.cfg.iterations)[: len(scores[0])]
        return swav_costs(one["scores"], codes, self.cfg.temp).mean()
