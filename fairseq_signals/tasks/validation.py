"""Validation over a whole set: outputs of all batches and workers first, metrics of them at the end."""

import logging
import re
from collections.abc import Sequence
from typing import Any, Callable, Dict, List, Set

import numpy as np
import torch
from fairseq.logging import metrics
from fairseq.logging.meters import MetersDict
from torch import Tensor

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import whole_config
from fairseq_signals.modules.distributed import gather_rows

logger = logging.getLogger(__name__)

MAXIMIZE = "maximize_best_checkpoint_metric"
#: Metrics of which the largest is best, and those of which it is the smallest.
LARGEST_IS_BEST = re.compile(
    r"(label_)?accuracy|f_measure|exact_match.*|(auroc|auprc|r2|pearson)(_\d+)?|cinc_score"
)
SMALLEST_IS_BEST = re.compile(r".*loss|(mae|rmse)(_\d+)?")


def check_best_metric(cfg: Any, logged: Sequence[str]) -> None:
    """Raise ConfigError where the best checkpoint goes by what validation does not log.

    fairseq finds out after an epoch, with a KeyError. Where nothing is validated that is only warned about,
    and so is a best checkpoint that would be the worst.

    Args:
        cfg: a section of the whole configuration.
        logged: the metrics that there are.
    """
    whole = whole_config(cfg)
    checkpoint = whole.get("checkpoint") or {}
    metric, maximize = checkpoint.get("best_checkpoint_metric"), checkpoint.get(MAXIMIZE, False)
    if metric is None:
        return
    if metric not in logged:
        problem = (
            f"checkpoint.best_checkpoint_metric is {metric}, but validation logs {', '.join(logged)}. Choose "
            f"one of these, with {MAXIMIZE} to match, or see whether a report_ option of the criterion adds "
            f"{metric}"
        )
        if not (whole.get("dataset") or {}).get("disable_validation"):
            raise ConfigError(problem)
        logger.warning("%s. Now nothing is validated (dataset.disable_validation) and none is best", problem)
    elif (SMALLEST_IS_BEST if maximize else LARGEST_IS_BEST).fullmatch(metric):
        best, right = ("smallest", "false") if maximize else ("largest", "true")
        logger.warning(
            "checkpoint.%s is %s, but the best %s is the %s: checkpoint_best.pt would be the worst. Set "
            "checkpoint.%s=%s",
            MAXIMIZE,
            str(bool(maximize)).lower(),
            metric,
            best,
            MAXIMIZE,
            right,
        )


class ValidationSet:
    """The outputs of the model for the items of one subset, each item once.

    fairseq repeats a batch on workers that have none left, so that all of them call the model equally often.
    """

    def __init__(self) -> None:
        self.items: Set[int] = set()
        self.parts: Dict[str, List[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.items)

    def add(self, outputs: Dict[str, Tensor]) -> None:
        """Add a batch of every worker: tensors (B, ...) on the model's device, one of them `id` (B,)."""
        gathered = {key: gather_rows(value).cpu() for key, value in outputs.items()}
        self.items.update(gathered["id"].tolist())
        for key, value in gathered.items():
            self.parts.setdefault(key, []).append(value)

    def columns(self) -> Dict[str, np.ndarray]:
        """All outputs by ascending `id`, whatever the batches and workers were."""
        columns = {key: torch.cat(parts).numpy() for key, parts in self.parts.items()}
        first = np.unique(columns["id"], return_index=True)[1]
        return {key: value[first] for key, value in columns.items()}


def log_whole_set(
    outputs: ValidationSet, compute: Callable[[Dict[str, np.ndarray]], Dict[str, float]], names: Sequence[str]
) -> None:
    """Log metrics of all that has been collected when fairseq asks for them.

    fairseq asks after every batch too. What it would get then is of no use and would cost as much again for
    every batch, so it is NaN: only meters that have counted all items (`nsignals`) get the metrics.

    Args:
        outputs: what is collected, until fairseq asks.
        compute: all metrics of its `columns()`.
        names: which of them to log.
    """
    done: Dict[int, Dict[str, float]] = {}

    def value(meters: MetersDict, name: str) -> float:
        n = len(outputs)
        if meters["nsignals"].sum != n:
            return float("nan")
        if n not in done:
            done[n] = compute(outputs.columns())
        return done[n][name]

    for name in names:
        metrics.log_derived(name, lambda meters, name=name: value(meters, name))
