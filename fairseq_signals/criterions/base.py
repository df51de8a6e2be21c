"""What all criterions share: options whose keys are checked, outputs that can be summed, logged shares."""

from typing import Any, Dict, List, Tuple

from fairseq.criterions import FairseqCriterion
from fairseq.logging import metrics

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import check_keys


class ECGCriterion(FairseqCriterion):
    """Base of the criterions; `logged` is what validation logs, beside what the task does."""

    logged: Tuple[str, ...] = ("loss",)
    takes_local_views = False  #: whether it has a use for short views

    def __init__(self, cfg: Any, task: Any):
        super().__init__(task)
        if getattr(task, "local_views", 0) and not self.takes_local_views:
            raise ConfigError(
                f"task.local_views is {task.local_views}, but criterion {cfg._name} has no use for short "
                "views: set it to 0, or choose one that has, such as simdino"
            )
        self.cfg = cfg

    @classmethod
    def build_criterion(cls, cfg: Any, task: Any) -> Any:
        check_keys(cls, cfg, "criterion")
        return cls(cfg, task)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True


def log_share(logs: List[Dict[str, Any]], name: str, of: str, per: str, digits: int = 3) -> None:
    """Log the workers' sum of `of` over that of `per`; nothing where the latter is 0."""
    n = float(sum(log[per] for log in logs))
    if n:
        metrics.log_scalar(name, float(sum(log[of] for log in logs)) / n, n, round=digits)
