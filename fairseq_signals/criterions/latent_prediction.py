"""`latent_prediction`: a teacher's representation of tokens that the student was not given (JEPA)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.cmsc import CMSCCriterionConfig, check_cmsc_config, check_pairs, global_term
from fairseq_signals.errors import ConfigError, TrainingError
from fairseq_signals.models.ecg_jepa import LatentPrediction
from fairseq_signals.modules.reconstruction import LOSSES

CONSTANT_TOKENS = 1000  #: of a batch, of which the best constant is told


@dataclass
class LatentPredictionConfig(CMSCCriterionConfig):
    """Options of the loss, and of a global term beside it."""

    loss: str = field(default="l1", metadata={"help": "'l1', 'smooth_l1' or 'mse'"})
    least_spread: float = field(
        default=0.1,
        metadata={
            "help": "the run stops where the targets' deviation is below so much of the first update's: the "
            "teacher has collapsed; 0: it never does"
        },
    )
    cmsc_weight: float = field(
        default=0.0, metadata={"help": "weight of the global term (CMSC), of the two segments of a pair"}
    )


def latent_errors(prediction: Tensor, target: Tensor, loss: str) -> Tensor:
    """The mean error over channels of (..., D): (...), in float32."""
    difference = prediction.float() - target.float()
    if loss == "smooth_l1":
        return F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none").mean(dim=-1)
    return (difference.abs() if loss == "l1" else difference.square()).mean(dim=-1)


def best_constant(target: Tensor, loss: str) -> Tensor:
    """The vector (D,) that predicts targets (N, D) best if alone: the median, or the mean of "mse"."""
    target = target.float()
    return target.mean(dim=0) if loss == "mse" else target.median(dim=0).values


@register_criterion("latent_prediction", dataclass=LatentPredictionConfig)
class LatentPredictionCriterion(ECGCriterion):
    """The error of a masked token, mean over channels, summed over them."""

    def __init__(self, cfg: LatentPredictionConfig, task: Any):
        super().__init__(cfg, task)
        check_cmsc_config(cfg)
        if cfg.loss not in LOSSES:
            raise ConfigError(
                f"criterion.loss must be one of {', '.join(LOSSES)}, but is {cfg.loss!r} instead"
            )
        for name in ("least_spread", "cmsc_weight"):
            if getattr(cfg, name) < 0:
                raise ConfigError(f"criterion.{name} must be >= 0, but is {getattr(cfg, name)} instead")
        self.logged = ("loss", "prediction_loss", "constant_loss", "target_std")
        if cfg.cmsc_weight:
            check_pairs("criterion.cmsc_weight", getattr(task, "pairs", True))
            self.logged = (*self.logged, "cmsc_loss")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over masked tokens, their number, and what to log."""
        found = model(**sample["net_input"])
        if model.training:  # the targets of a few segments that are alike, as at a validation's end, may be
            self.check_spread(found)
        valid = found.valid
        n = max(int(valid.sum()), 1)
        loss = (latent_errors(found.prediction, found.target, self.cfg.loss) * valid).sum()
        log: Dict[str, Any] = {
            "prediction_loss": loss.detach(),
            "sample_size": n,
            "nsignals": len(sample["id"]),
        }
        with torch.no_grad():
            targets = found.target[valid]
            if len(targets) > CONSTANT_TOKENS:  # a median of all would take a good part of an update's time
                targets = targets[torch.randint(len(targets), (CONSTANT_TOKENS,), device=targets.device)]
            constant = targets.new_zeros(())
            if len(targets):
                best = best_constant(targets, self.cfg.loss)
                constant = latent_errors(best, targets, self.cfg.loss).mean()
            log.update(constant_loss=constant * n, target_std=found.target_std * n)
        if self.cfg.cmsc_weight:
            term, told = global_term(self.cfg, model.global_representation(found), sample)
            loss = loss + self.cfg.cmsc_weight * term * n
            log.update(told, cmsc_loss=term.detach() * n)
        return loss, n, {"loss": loss.detach(), **log}

    def check_spread(self, found: LatentPrediction) -> None:
        """Raise TrainingError where all targets have become alike."""
        least = self.cfg.least_spread * found.first_std
        if found.target_std < least:
            raise TrainingError(
                f"the teacher has collapsed: the deviation of its targets is {float(found.target_std):.2g}, "
                f"once it was {float(found.first_std):.2g} "
                f"(criterion.least_spread={self.cfg.least_spread:g}). Lower the learning rate, raise "
                "model.ema_momentum, or set criterion.least_spread=0 to go on all the same"
            )

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log means over masked tokens; `constant_loss` is the best constant's, which learning passes."""
        for name in ("loss", "prediction_loss", "constant_loss", "target_std", "cmsc_loss"):
            if all(name in log for log in logging_outputs):
                log_share(logging_outputs, name, name, "sample_size")
