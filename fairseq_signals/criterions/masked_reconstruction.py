"""`masked_reconstruction`: the samples of tokens that the encoder was not given (MAE, arXiv:2111.06377)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.cmsc import CMSCCriterionConfig, check_cmsc_config, check_pairs, global_term
from fairseq_signals.criterions.dino import rows_of_students
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_mae import Reconstruction
from fairseq_signals.modules.distributed import mean_over_workers
from fairseq_signals.modules.reconstruction import LOSSES, token_errors


@dataclass
class MaskedReconstructionConfig(CMSCCriterionConfig):
    """Options of the loss, and of a global term beside it."""

    loss: str = field(default="mse", metadata={"help": "'mse', 'l1' or 'smooth_l1'"})
    beta: float = field(
        default=1.0, metadata={"help": "'smooth_l1': below it errors count by their square (> 0)"}
    )
    hidden_weight: float = field(
        default=0.0,
        metadata={
            "help": "weight of leads that the input lacked, in tokens that were not masked "
            "(task.student_views)"
        },
    )
    cmsc_weight: float = field(
        default=0.0, metadata={"help": "weight of the global term (CMSC), of the two segments of a pair"}
    )


@register_criterion("masked_reconstruction", dataclass=MaskedReconstructionConfig)
class MaskedReconstructionCriterion(ECGCriterion):
    """The mean error of a masked token, times their number; passes of several ways of masking weigh alike."""

    def __init__(self, cfg: MaskedReconstructionConfig, task: Any):
        super().__init__(cfg, task)
        check_cmsc_config(cfg)
        if cfg.loss not in LOSSES:
            raise ConfigError(
                f"criterion.loss must be one of {', '.join(LOSSES)}, but is {cfg.loss!r} instead"
            )
        for name, least in (("beta", "> 0"), ("hidden_weight", ">= 0"), ("cmsc_weight", ">= 0")):
            value = getattr(cfg, name)
            if value < 0 or (least == "> 0" and value == 0):
                raise ConfigError(f"criterion.{name} must be {least}, but is {value} instead")
        self.logged = ("loss", "reconstruction_loss", "zero_loss")
        if cfg.hidden_weight:
            if not getattr(task, "student_views", 1):
                raise ConfigError(
                    "criterion.hidden_weight is of leads that the input lacks, but task.student_views is 0, "
                    "so that it has all that are told: set task.student_views to 1, or the weight to 0"
                )
            self.logged = (*self.logged, "hidden_loss")
        if cfg.cmsc_weight:
            check_pairs("criterion.cmsc_weight", getattr(task, "pairs", True))
            self.logged = (*self.logged, "cmsc_loss")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of masked tokens, that number, and what to log."""
        own = not sample.get("repeated", False)
        passes = model(**sample["net_input"])
        terms = [self.terms(found, own) for found in passes]
        n = max(int(terms[0]["n"]), 1)
        log: Dict[str, Any] = {"sample_size": n, "nsignals": len(sample["id"])}
        means = {
            name: torch.stack([term[name] for term in terms]).mean()
            for name in ("reconstruction", "zero", "hidden")
        }
        loss = means["reconstruction"] + self.cfg.hidden_weight * means["hidden"]
        log.update({f"{name}_loss": value.detach() * n for name, value in means.items()})
        if not self.cfg.hidden_weight:
            del log["hidden_loss"]
        if self.cfg.cmsc_weight:
            term, told = global_term(self.cfg, model.global_representation(passes), rows_of_students(sample))
            loss = loss + self.cfg.cmsc_weight * term
            log.update(told, cmsc_loss=term.detach() * n)
        loss = loss * n
        return loss, n, {"loss": loss.detach(), **log}

    def terms(self, found: Reconstruction, own: bool = True) -> Dict[str, Tensor]:
        """Mean errors over all workers: of masked tokens, of zeros in their place, of hidden leads."""
        cfg = self.cfg
        masked = found.masked & found.valid.any(dim=-1)
        errors = token_errors(found.prediction, found.target, found.valid, cfg.loss, cfg.beta)
        zeros = token_errors(torch.zeros_like(found.target), found.target, found.valid, cfg.loss, cfg.beta)
        terms = {
            "n": masked.sum(),
            "reconstruction": mean_of(errors, masked, own),
            "zero": mean_of(zeros, masked, own),
        }
        seen = ~found.masked & found.hidden.any(dim=-1)
        hidden = token_errors(found.prediction, found.target, found.hidden, cfg.loss, cfg.beta)
        return {**terms, "hidden": mean_of(hidden, seen, own)}

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log means over masked tokens."""
        for name in ("loss", "reconstruction_loss", "zero_loss", "hidden_loss", "cmsc_loss"):
            if all(name in log for log in logging_outputs):
                log_share(logging_outputs, name, name, "sample_size")


def mean_of(errors: Tensor, counted: Tensor, own: bool) -> Tensor:
    """Mean of (B, N) where `counted` (B, N), over all workers; 0, with a gradient, where nothing is."""
    n = int(counted.sum())
    return mean_over_workers((errors * counted).sum() / max(n, 1), n, own)
