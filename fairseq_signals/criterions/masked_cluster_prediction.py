"""`masked_cluster_prediction`: the cluster of masked frames (HuBERT, arXiv:2106.07447, Eq. 1 to 3)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from fairseq.criterions import register_criterion
from fairseq.logging import metrics
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.cmsc import CMSCCriterionConfig, check_cmsc_config, check_pairs, global_term
from fairseq_signals.criterions.dino import rows_of_students
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_hubert import ClusterPrediction
from fairseq_signals.modules.distributed import mean_over_workers


@dataclass
class MaskedClusterPredictionConfig(CMSCCriterionConfig):
    """Options of the loss, and of a global term beside it."""

    masked_weight: float = field(
        default=1.0, metadata={"help": "weight of masked frames; others have what is left to 1"}
    )
    cmsc_weight: float = field(
        default=0.0, metadata={"help": "weight of the global term (CMSC), of the two segments of a pair"}
    )


def cluster_costs(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in nats, (B, F): of logits (B, F, K) with labels (B, F) or shares (B, F, K)."""
    log_shares = logits.float().log_softmax(dim=-1)
    if labels.dim() == logits.dim():
        return -(labels * log_shares).sum(dim=-1)
    return -log_shares.gather(2, labels[..., None])[..., 0]


def label_entropy(labels: Tensor, valid: Tensor, n: int) -> Tensor:
    """Entropy in nats of the labels of a batch: the loss of who knows how frequent each is, and no more."""
    used = labels[valid]
    counts = used.sum(dim=0) if used.dim() == 2 else torch.bincount(used, minlength=n).to(torch.float32)
    share = counts / counts.sum().clamp(min=1)
    return -(share * share.clamp(min=1e-12).log()).sum()


@register_criterion("masked_cluster_prediction", dataclass=MaskedClusterPredictionConfig)
class MaskedClusterPredictionCriterion(ECGCriterion):
    """The weighted cross entropy of a frame, summed over masked ones."""

    def __init__(self, cfg: MaskedClusterPredictionConfig, task: Any):
        super().__init__(cfg, task)
        check_cmsc_config(cfg)
        if not 0 < cfg.masked_weight <= 1:
            raise ConfigError(
                f"criterion.masked_weight must be in (0, 1], but is {cfg.masked_weight} instead"
            )
        if cfg.cmsc_weight < 0:
            raise ConfigError(f"criterion.cmsc_weight must be >= 0, but is {cfg.cmsc_weight} instead")
        self.logged = ("loss", "cluster_loss", "label_entropy", "accuracy")
        if cfg.cmsc_weight:
            check_pairs("criterion.cmsc_weight", getattr(task, "pairs", True))
            self.logged = (*self.logged, "cmsc_loss")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over masked frames, their number, and what to log."""
        own = not sample.get("repeated", False)
        found: ClusterPrediction = model(**sample["net_input"], contribute=own)
        costs, n = cluster_costs(found.logits, found.labels), max(int(found.masked.sum()), 1)
        loss = self.cfg.masked_weight * (costs * found.masked).sum()
        log: Dict[str, Any] = {"cluster_loss": (costs.detach() * found.masked).sum()}
        if self.cfg.masked_weight < 1:
            others = found.valid & ~found.masked
            n_others = int(others.sum())
            mean = mean_over_workers((costs * others).sum() / max(n_others, 1), n_others, own)
            loss = loss + (1 - self.cfg.masked_weight) * mean * n
        with torch.no_grad():
            labels = found.labels if found.labels.dim() == 2 else found.labels.argmax(dim=-1)
            log["correct"] = ((found.logits.argmax(dim=-1) == labels) & found.masked).sum()
            log["label_entropy"] = label_entropy(found.labels, found.valid, found.logits.shape[-1]) * n
        if self.cfg.cmsc_weight:
            g = model.global_representation(found)
            term, told = global_term(self.cfg, g, rows_of_students(sample))
            loss = loss + self.cfg.cmsc_weight * term * n
            log.update(told, cmsc_loss=term.detach() * n)
        return loss, n, {"loss": loss.detach(), "sample_size": n, "nsignals": len(sample["id"]), **log}

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log means over masked frames; `label_entropy` is what guessing costs, which learning passes."""
        for name in ("loss", "cluster_loss", "label_entropy", "cmsc_loss"):
            if all(name in log for log in logging_outputs):
                log_share(logging_outputs, name, name, "sample_size")
        n = float(sum(log["sample_size"] for log in logging_outputs))
        if n:
            metrics.log_scalar(
                "accuracy", float(sum(log["correct"] for log in logging_outputs)) / n, n, round=5
            )
