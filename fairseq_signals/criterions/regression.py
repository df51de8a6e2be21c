"""`regression`: numbers such as age, LVEF or potassium, on targets that the task standardised."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Tuple

import torch.nn.functional as F
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig

LOSSES: Dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss}


@dataclass
class RegressionCriterionConfig(OpenConfig):
    """Options of the loss."""

    loss: ChoiceEnum(list(LOSSES)) = field(  # type: ignore[valid-type]
        default="mse",
        metadata={
            "help": "squared error, absolute error, or half the squared error up to one standard deviation "
            "and linear beyond"
        },
    )


@register_criterion("regression", dataclass=RegressionCriterionConfig)
class RegressionCriterion(ECGCriterion):
    """A loss summed over segments and targets; the sample size counts both."""

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over segments and targets, their number, and what to log."""
        output, target = model(**sample["net_input"]).float(), sample["label"].float()
        if output.shape != target.shape:
            raise ConfigError(
                f"the model has {output.shape[1]} outputs, but the manifest has {target.shape[1]} targets; "
                "train or load a model for this target table"
            )
        loss = LOSSES[str(self.cfg.loss)](output, target, reduction="sum")
        n = target.numel()
        log = {"loss": loss.detach(), "sample_size": n, "nsignals": len(target)}
        if not model.training:
            log.update(id=sample["id"], predicted=output.detach(), target=target)
        return loss, n, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """The loss in squares (or widths) of standard deviations; what is in units is the task's."""
        log_share(logging_outputs, "loss", "loss", "sample_size")
