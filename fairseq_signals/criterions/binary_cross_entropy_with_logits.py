"""`binary_cross_entropy_with_logits`: multi-label classification (Oh et al., Sec. 4)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import torch.nn.functional as F
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig


@dataclass
class BinaryCrossEntropyWithLogitsCriterionConfig(OpenConfig):
    """Options of the loss, and what validation reports (over the whole set, see `ecg_classification`)."""

    threshold: float = field(default=0.5, metadata={"help": "labels of a larger probability are predicted"})
    pos_weight: Optional[List[float]] = field(
        default=None, metadata={"help": "weight of positives, one for each class"}
    )
    report_auc: bool = field(default=True, metadata={"help": "report AUROC and AUPRC"})
    auc_average: ChoiceEnum(["macro", "micro"]) = field(  # type: ignore[valid-type]
        default="macro", metadata={"help": "how AUROC, AUPRC and F-measure are averaged over classes"}
    )
    report_per_class: bool = field(default=False, metadata={"help": "report AUROC and AUPRC of every class"})
    report_cinc_score: Optional[bool] = field(
        default=None,
        metadata={"help": "report the CinC 2021 score; default: where its weight matrix is"},
    )
    weights_file: Optional[str] = field(
        default=None, metadata={"help": "its weight matrix (CSV); default: weights.csv beside the manifest"}
    )


@register_criterion("binary_cross_entropy_with_logits", dataclass=BinaryCrossEntropyWithLogitsCriterionConfig)
class BinaryCrossEntropyWithLogitsCriterion(ECGCriterion):
    """Binary cross entropy summed over segments and classes; the sample size counts both."""

    logged = ("loss", "label_accuracy")

    def __init__(self, cfg: BinaryCrossEntropyWithLogitsCriterionConfig, task: Any):
        super().__init__(cfg, task)
        if not 0 < cfg.threshold < 1:
            raise ConfigError(f"criterion.threshold must be between 0 and 1, but is {cfg.threshold} instead")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over segments and classes, their number, and what to log."""
        logits = model(**sample["net_input"])
        label = sample["label"]
        if label.shape != logits.shape:
            raise ConfigError(
                f"the model has {logits.shape[1]} classes, but the manifest has {label.shape[1]}; "
                "train or load a model for this label table"
            )
        pos_weight = None
        if self.cfg.pos_weight is not None:
            if len(self.cfg.pos_weight) != logits.shape[1]:
                raise ConfigError(
                    f"criterion.pos_weight must have {logits.shape[1]} numbers, one for each class, "
                    f"but has {len(self.cfg.pos_weight)}"
                )
            pos_weight = logits.new_tensor(list(self.cfg.pos_weight)).float()
        loss = F.binary_cross_entropy_with_logits(
            logits.float(), label.float(), pos_weight=pos_weight, reduction="sum"
        )
        n = label.numel()
        right = (logits.detach().sigmoid() > self.cfg.threshold) == (label > 0)
        log = {"loss": loss.detach(), "correct": right.sum(), "sample_size": n, "nsignals": len(label)}
        if not model.training:
            log.update(id=sample["id"], scores=logits.detach().float().sigmoid(), label=label > 0)
        return loss, n, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Loss and share of right labels; what needs the whole set is the task's."""
        log_share(logging_outputs, "loss", "loss", "sample_size")
        log_share(logging_outputs, "label_accuracy", "correct", "sample_size", digits=5)
