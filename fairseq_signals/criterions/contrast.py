"""What criterions share that contrast the vectors of all segments of a batch: options, gathering, logging."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from fairseq.logging import metrics
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.adversarial_mask import share_penalty
from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.nt_xent import nearest_is_positive, nt_xent_loss, without_diagonal
from fairseq_signals.safety.rules import broken, number

_RULES = {"adversary_weight": number(0, 1e6), "adversary_share": number(0.05, 0.95)}
SHARES = "masked_shares"


@dataclass
class ContrastConfig(OpenConfig):
    """Options of a contrast between vectors."""

    temp: float = field(default=0.1, metadata={"help": "softmax temperature (> 0)"})
    all_gather: bool = field(
        default=True, metadata={"help": "contrast with the segments of all data-parallel workers"}
    )
    adversary_weight: float = field(
        default=0.0,
        metadata={
            "help": "with model.adversarial_mask: weight of the penalty of masks that hide too much or too "
            "little"
        },
    )
    adversary_share: float = field(
        default=0.5, metadata={"help": "share of the samples that a mask should hide"}
    )


class Contrast(NamedTuple):
    """What a criterion makes of N rows.

    Attributes:
        loss: the mean loss, a scalar.
        positive: (N, N) bool, symmetric, no row with itself.
        compared: (N, N) bool, what each row is compared with; None = all others.
    """

    loss: Tensor
    positive: Tensor
    compared: Optional[Tensor] = None


class ContrastCriterion(ECGCriterion):
    """Base of criterions on a model with `global_representation`.

    A subclass names the `keys` of the batch that say which rows belong together. With one key, rows that
    agree in it are positives, and the contrast is NT-Xent.
    """

    keys: Tuple[str, ...] = ()
    logged: Tuple[str, ...] = ("loss", "positive_pairs", "accuracy")

    def __init__(self, cfg: Any, task: Any):
        super().__init__(cfg, task)
        if not cfg.temp > 0:
            raise ConfigError(f"criterion.temp must be > 0, but is {cfg.temp} instead")
        problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "criterion.")
        if problems:
            raise ConfigError("; ".join(problems))
        if cfg.adversary_weight:
            self.logged = (*self.logged, "masked_share", "mask_penalty")
        if hasattr(task, "n_views"):
            self.check_data(task.n_views, task.pairs)

    def check_data(self, n_views: int, pairs: bool) -> None:
        """Raise ConfigError where such batches never hold a positive pair; names the task's keys."""

    def represent(self, model: Any, sample: Dict[str, Any]) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Vectors (N, D) float32 of this worker, and what else `contrast` gets of each row, (N, ...).

        `masked_shares` are not of each row, and not for `contrast`: the loss has a penalty of them.
        """
        output, more = self.output(model, sample)
        return model.global_representation(output).float(), more

    def output(self, model: Any, sample: Dict[str, Any], **options: Any) -> Tuple[Any, Dict[str, Tensor]]:
        """What the model makes of a batch; and, of those segments that an adversary masked, the shares."""
        if not self.cfg.adversary_weight:
            return model(**sample["net_input"], **options), {}
        if getattr(model, "adversary", None) is None:
            raise ConfigError(
                "criterion.adversary_weight is of model ecg_contrastive with model.adversarial_mask above 0; "
                "set the one to 0, or the other"
            )
        by = "view" if sample["view"].any() else "segment"
        found = model(**sample["net_input"], masked_rows=sample[by] % 2 == 1, **options)
        return found, {SHARES: found.masked_shares}

    def contrast(self, z: Tensor, rows: Dict[str, Tensor]) -> Contrast:
        """The loss of vectors (N, D) float32; `rows`: their values of `keys`, each (N,), and what else."""
        (key,) = rows.values()
        positive = without_diagonal(key[:, None] == key)
        return Contrast(nt_xent_loss(z, positive, self.cfg.temp), positive)

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of segments, that number, and what to log."""
        z, more = self.represent(model, sample)
        rows = {**{key: sample[key] for key in self.keys}, **more}
        n_rows = len(z)
        if self.cfg.all_gather:
            own = not sample.get("repeated", False)
            z = gather_rows(z, own)
            rows = {key: gather_rows(value, own) for key, value in rows.items()}
        shares = rows.pop(SHARES, None)
        loss, positive, compared = self.contrast(z, rows)
        n = max(int((sample["view"] == 0).sum()), 1)
        loss = loss * n
        correct, anchors = nearest_is_positive(z, positive, compared)
        log = {"loss": loss.detach(), "sample_size": n, "nsignals": n_rows, "batches": 1}
        log["positive_pairs"] = positive.triu(1).sum()
        if shares is not None:
            penalty = share_penalty(shares, self.cfg.adversary_share) * n
            loss = loss + self.cfg.adversary_weight * penalty
            log |= {"mask_penalty": penalty.detach(), "masked_share": shares.detach().nanmean() * n}
        return loss, n, {**log, "correct": correct, "anchors": anchors}

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """The loss, positive pairs of a batch, and the share of anchors whose nearest other is a positive."""
        keys = ("loss", "sample_size", "batches", "positive_pairs", "correct", "anchors")
        total = {key: float(sum(log[key] for log in logging_outputs)) for key in keys}
        n, batches = max(total["sample_size"], 1.0), max(total["batches"], 1.0)
        metrics.log_scalar("loss", total["loss"] / n, n, round=3)
        metrics.log_scalar("positive_pairs", total["positive_pairs"] / batches, batches, round=1)
        if total["anchors"]:
            metrics.log_scalar("accuracy", total["correct"] / total["anchors"], total["anchors"], round=5)
        for name in ("masked_share", "mask_penalty"):
            if all(name in log for log in logging_outputs):
                log_share(logging_outputs, name, name, "sample_size")
