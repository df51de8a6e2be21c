"""What criterions share that compare the embeddings of a segment's views."""

import itertools
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_contrastive import ContrastiveOutput
from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.joint_embedding import by_view


def check_views(name: str, task: Any) -> None:
    """Raise ConfigError where the task makes one view of a segment."""
    if getattr(task, "n_views", 2) < 2:
        raise ConfigError(f"criterion {name} compares views of a segment, but task.views is 1; set it to 2")


class ViewsCriterion(ECGCriterion):
    """Base of criterions on `ecg_contrastive`: the mean over ordered pairs of views.

    A subclass says which arrays of the model's output it `needs`, and the loss of a pair.
    """

    needs: Tuple[str, ...] = ("g",)
    logged = ("loss", "spread")

    def __init__(self, cfg: Any, task: Any):
        super().__init__(cfg, task)
        check_views(cfg._name, task)

    def pair(self, one: Dict[str, Tensor], other: Dict[str, Tensor]) -> Tensor:
        """The loss of a view against another, a scalar; arrays (S, ...) by the names that it needs.

        With them are the `earlier_scores` of the model's queue, where it has one.
        """
        raise NotImplementedError

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of segments, that number, and what to log."""
        own = not sample.get("repeated", False)
        found: ContrastiveOutput = model(**sample["net_input"], contribute=own)
        missing = [name for name in self.needs if getattr(found, name) is None]
        if missing:
            keys = ", ".join(
                {"teacher": "model.teacher=true", "scores": "model.prototypes"}[name] for name in missing
            )
            raise ConfigError(f"criterion {self.cfg._name} needs {keys}")
        place = [gather_rows(sample[key], own) for key in ("segment_row", "view")]
        rows = {name: by_view(gather_rows(getattr(found, name), own), *place) for name in self.needs}
        earlier = {} if found.earlier_scores is None else {"earlier_scores": found.earlier_scores}
        n_views = len(next(iter(rows.values())))
        views = [{**earlier, **{name: value[v] for name, value in rows.items()}} for v in range(n_views)]
        loss = torch.stack([self.pair(one, other) for one, other in itertools.permutations(views, 2)]).mean()
        n = max(int((sample["view"] == 0).sum()), 1)
        loss, z = loss * n, F.normalize(found.g.detach().float(), dim=-1)
        spread = z.std(dim=0).mean() * z.shape[1] ** 0.5 if len(z) > 1 else z.new_zeros(())
        return (
            loss,
            n,
            {
                "loss": loss.detach(),
                "spread": spread * n,
                "sample_size": n,
                "nsignals": len(sample["id"]),
            },
        )

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log the loss, and how far embeddings are spread: 0 where all are alike (collapse), 1 at best."""
        for name in ("loss", "spread"):
            log_share(logging_outputs, name, name, "sample_size")
