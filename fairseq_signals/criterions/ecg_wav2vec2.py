"""`ecg_wav2vec2`: the local contrastive loss with its two regularisers (wav2vec 2.0, Sec. 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from fairseq.criterions import register_criterion
from fairseq.logging import metrics
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion
from fairseq_signals.criterions.dino import DistillationTermConfig, check_term, distillation_term
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_wav2vec2 import STATISTICS, Wav2Vec2Output
from fairseq_signals.modules.contrastive import binary_contrastive_loss, infonce_loss


@dataclass
class ECGWav2Vec2CriterionConfig(DistillationTermConfig):
    """Options of the local loss, and of a teacher's where the model has one."""

    infonce: bool = field(
        default=True, metadata={"help": "cross entropy over distractors; false = binary cross entropy"}
    )
    loss_weights: List[float] = field(
        default_factory=lambda: [0.1, 10.0],
        metadata={"help": "weights of code diversity and feature penalty; one number weighs both"},
    )
    log_keys: Optional[List[str]] = field(  # None: fairseq's argparse cannot read a default list of names
        default=None, metadata={"help": f"statistics of the model to log; default: {', '.join(STATISTICS)}"}
    )
    distill_weight: float = field(
        default=1.0, metadata={"help": "weight of what a teacher adds, where the model has one (> 0)"}
    )


def statistics_to_log(cfg: ECGWav2Vec2CriterionConfig) -> Sequence[str]:
    """The statistics that `cfg` names, or all."""
    return STATISTICS if cfg.log_keys is None else cfg.log_keys


def masked_output(model: Any, sample: Dict[str, Any]) -> Wav2Vec2Output:
    """The model's output, whose means over workers leave out a batch that fairseq only repeats."""
    return model(**sample["net_input"], contribute=not sample.get("repeated", False))


def regularisers(output: Wav2Vec2Output, loss_weights: List[float]) -> Dict[str, Tensor]:
    """Weighted regularisers by name, each a mean over frames; the diversity only with a quantizer."""
    terms = (
        ("diversity", loss_weights[0], output.diversity_loss),
        ("features_pen", loss_weights[-1], output.feature_penalty),
    )
    return {name: w * term.float() for name, w, term in terms if term is not None and w != 0}


def contrastive_accuracy(logits: Tensor, valid: Tensor) -> Tuple[Tensor, Tensor]:
    """Frames whose positive has the largest logit, and all frames; a row of equal logits is not correct."""
    logits = logits[valid]
    right = (logits.argmax(dim=-1) == 0) & (logits.argmin(dim=-1) != 0)
    return right.sum(), valid.sum()


def local_term(
    cfg: ECGWav2Vec2CriterionConfig, output: Wav2Vec2Output
) -> Tuple[Tensor, Tensor, Dict[str, Any]]:
    """The local loss summed over masked frames, their number, and what to log (all summable)."""
    compute = infonce_loss if cfg.infonce else binary_contrastive_loss
    contrastive = compute(output.logits, output.valid)
    sample_size = output.valid.sum()
    loss = contrastive
    log: Dict[str, Any] = {"contrastive_loss": contrastive.detach()}
    for name, value in regularisers(output, cfg.loss_weights).items():
        loss = loss + value * sample_size
        log[f"{name}_loss"] = (value * sample_size).detach()
    log["correct"], log["count"] = contrastive_accuracy(output.logits.detach(), output.valid)
    for key in statistics_to_log(cfg):
        if key in output.stats:
            log[key] = output.stats[key] * sample_size
    return loss, sample_size, log


NOT_MEANS = ("sample_size", "nsignals", "correct", "count", "positive_pairs")


@register_criterion("ecg_wav2vec2", dataclass=ECGWav2Vec2CriterionConfig)
class ECGWav2Vec2Criterion(ECGCriterion):
    """The local term alone."""

    def __init__(self, cfg: ECGWav2Vec2CriterionConfig, task: Any):
        super().__init__(cfg, task)
        weights = cfg.loss_weights
        if len(weights) not in (1, 2) or min(weights) < 0:
            raise ConfigError(
                f"criterion.loss_weights must be one or two numbers >= 0, but is {list(weights)} instead"
            )
        # a model without a quantizer has no diversity and no statistics
        weighted = (("diversity_loss", weights[0]), ("features_pen_loss", weights[-1]))
        names = [name for name, weight in weighted if weight != 0]
        self.logged = ("loss", "contrastive_loss", "accuracy", *names, *statistics_to_log(cfg))
        if getattr(task, "student_views", 0):
            check_term(cfg, task)
            if not cfg.distill_weight > 0:
                raise ConfigError(
                    f"criterion.distill_weight must be > 0, but is {cfg.distill_weight} instead; without a "
                    "teacher, set task.student_views to 0 and model.distill_level to none"
                )
            self.logged = (*self.logged, "distill_loss", "spread")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, Tensor, Dict]:
        """The loss summed over masked frames, their number, and what to log."""
        output = masked_output(model, sample)
        loss, sample_size, log = self.terms(output, sample)
        log.update(loss=loss.detach(), sample_size=sample_size, nsignals=len(sample["id"]))
        return loss, sample_size, log

    def terms(self, output: Wav2Vec2Output, sample: Dict[str, Any]) -> Tuple[Tensor, Tensor, Dict[str, Any]]:
        """As `local_term`, with what a teacher adds, weighted and times the number of masked frames."""
        loss, sample_size, log = local_term(self.cfg, output)
        if output.distilled is not None:
            term, told = distillation_term(self.cfg, output.distilled, sample)
            term = self.cfg.distill_weight * term * sample_size
            loss = loss + term
            log.update(distill_loss=term.detach(), spread=told["spread"] * sample_size)
        return loss, sample_size, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log every loss per masked frame in nats, statistics as means, and the contrastive accuracy."""
        n = max(float(sum(log["sample_size"] for log in logging_outputs)), 1.0)
        totals: Dict[str, float] = {}
        for log in logging_outputs:
            for key, value in log.items():
                totals[key] = totals.get(key, 0.0) + float(value)
        for key in sorted(totals):
            if key not in NOT_MEANS:
                metrics.log_scalar(key, totals[key] / n, n, round=3)
        if totals.get("count"):
            metrics.log_scalar("accuracy", totals["correct"] / totals["count"], totals["count"], round=5)
