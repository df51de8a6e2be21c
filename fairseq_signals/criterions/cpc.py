"""`cpc`: which of the segment's frames comes K frames later (InfoNCE, arXiv:1807.03748, Eq. 4)."""

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from fairseq.criterions import register_criterion
from fairseq.logging import metrics
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.ecg_wav2vec2 import contrastive_accuracy
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.contrastive import infonce_loss


@dataclass
class CPCConfig(OpenConfig):
    """There are no options; those of the candidates are the model's."""


@register_criterion("cpc", dataclass=CPCConfig)
class CPCCriterion(ECGCriterion):
    """The cross entropy of an anchor, summed over them."""

    logged = ("loss", "accuracy", "chance_loss")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over anchors, their number, and what to log."""
        found = model(**sample["net_input"])
        n = max(int(found.valid.sum()), 1)
        loss = infonce_loss(found.logits, found.valid)
        correct, count = contrastive_accuracy(found.logits.detach(), found.valid)
        log = {"loss": loss.detach(), "sample_size": n, "nsignals": len(sample["id"])}
        chance = math.log(found.logits.shape[-1]) * n
        return loss, n, {**log, "chance_loss": chance, "correct": correct, "count": count}

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log the loss of an anchor, that of guessing, and how often the right frame has the best score."""
        log_share(logging_outputs, "loss", "loss", "sample_size")
        log_share(logging_outputs, "chance_loss", "chance_loss", "sample_size")
        n = float(sum(log["count"] for log in logging_outputs))
        if n:
            metrics.log_scalar(
                "accuracy", float(sum(log["correct"] for log in logging_outputs)) / n, n, round=5
            )
