"""What the criterions of `ecg_classification` share: what validation reports, and out of what."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig


@dataclass
class ClassificationReport(OpenConfig):
    """What validation reports, over the whole set (see `ecg_classification`)."""

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


class ClassificationCriterion(ECGCriterion):
    """Base: a loss of logits and labels, both (B, C). Labels are 1 where a class is present, else 0.

    Attributes:
        threshold: probability above which a class is predicted; None where a segment is of exactly one class,
            and its most probable one is predicted.
    """

    logged = ("loss", "label_accuracy")
    threshold: Optional[float] = None

    def outcome(self, logits: Tensor, label: Tensor) -> Tuple[Tensor, Tensor, int]:
        """The loss, how many decisions are right, and of how many; sums over the batch."""
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probability of each class, (B, C)."""
        raise NotImplementedError

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over decisions, their number, and what to log."""
        logits = model(**sample["net_input"]).float()
        label = sample["label"]
        if label.shape != logits.shape:
            raise ConfigError(
                f"the model has {logits.shape[1]} classes, but the manifest has {label.shape[1]}; "
                "train or load a model for this label table"
            )
        loss, correct, n = self.outcome(logits, label.float())
        log = {"loss": loss.detach(), "correct": correct, "sample_size": n, "nsignals": len(label)}
        if not model.training:
            log.update(id=sample["id"], scores=self.probabilities(logits.detach()), label=label > 0)
        return loss, n, log

    def class_weights(self, option: str, logits: Tensor) -> Optional[Tensor]:
        """The numbers of an option that has one for each class, (C,); None where it is not given.

        Raises:
            ConfigError: they are not as many as there are classes.
        """
        weights = getattr(self.cfg, option)
        if weights is None:
            return None
        if len(weights) != logits.shape[1]:
            raise ConfigError(
                f"criterion.{option} must have {logits.shape[1]} numbers, one for each class, "
                f"but has {len(weights)}"
            )
        return logits.new_tensor(list(weights))

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Loss and share of right decisions; what needs the whole set is the task's."""
        log_share(logging_outputs, "loss", "loss", "sample_size")
        log_share(logging_outputs, "label_accuracy", "correct", "sample_size", digits=5)
