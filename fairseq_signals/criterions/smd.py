"""`smd`: two views of a sequence of segments are near, and so are those of each segment.

SMD-SSL, A. Raghu et al. 2023, arXiv:2307.10923, of the signal alone; items of a pair are sequences of two.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.cmsc import check_pairs
from fairseq_signals.criterions.vicreg import VICRegConfig, vicreg_loss
from fairseq_signals.criterions.views import check_views
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.joint_embedding import by_view
from fairseq_signals.modules.nt_xent import nt_xent_loss
from fairseq_signals.modules.segment_sequences import rows_of_sequences


@dataclass
class SMDConfig(VICRegConfig):
    """What is compared, and what both levels weigh; those of VICReg's terms are of `loss=vicreg`."""

    loss: ChoiceEnum(("nt_xent", "vicreg")) = field(  # type: ignore[valid-type]
        default="nt_xent", metadata={"help": "of two views: 'nt_xent' (SimCLR) or 'vicreg'"}
    )
    temp: float = field(default=0.1, metadata={"help": "nt_xent: softmax temperature (> 0)"})
    global_weight: float = field(default=1.0, metadata={"help": "of the loss between sequences (>= 0)"})
    component_weight: float = field(default=0.25, metadata={"help": "of that between segments (>= 0)"})


@register_criterion("smd", dataclass=SMDConfig)
class SMDCriterion(ECGCriterion):
    """w_g l(H1, H2) + w_c / T sum over t of l(E1_t, E2_t), on a model with `sequence_layers`.

    At step t, segments are compared with those of other sequences at the same step alone.
    """

    logged = ("loss", "global_loss", "component_loss")

    def __init__(self, cfg: SMDConfig, task: Any):
        super().__init__(cfg, task)
        check_views("smd", task)
        check_pairs("criterion smd", getattr(task, "pairs", True))
        if not cfg.temp > 0:
            raise ConfigError(f"criterion.temp must be > 0, but is {cfg.temp} instead")
        for name in ("global_weight", "component_weight"):
            if not getattr(cfg, name) >= 0:
                raise ConfigError(f"criterion.{name} must be >= 0, but is {getattr(cfg, name)} instead")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of items, that number, and what to log."""
        own, item, view = not sample.get("repeated", False), sample["id"], sample["view"]
        rows = rows_of_sequences(item * (view.max() + 1) + view, sample["segment"])
        found = model(**sample["net_input"], contribute=own, sequences=rows)
        if found.sequences is None:
            raise ConfigError("criterion smd needs model.sequence_layers, which is 0: set it to 1 or more")
        step = torch.empty_like(item)
        valid = rows >= 0
        step[rows[valid]] = torch.arange(rows.shape[1], device=item.device).expand_as(rows)[valid]
        z, at, *of = (gather_rows(value, own) for value in (found.g, step, item, view))
        steps = [(z[at == t], *(value[at == t] for value in of)) for t in range(int(at.max()) + 1)]
        component = torch.stack([self.compare(*rows_of_step) for rows_of_step in steps]).mean()
        first = rows[:, 0]
        whole = [gather_rows(value, own) for value in (found.sequences, item[first], view[first])]
        terms = {"global_loss": self.compare(*whole), "component_loss": component}
        loss = self.cfg.global_weight * terms["global_loss"] + self.cfg.component_weight * component
        n = max(int((view[first] == 0).sum()), 1)
        log = {name: value.detach() * n for name, value in {"loss": loss, **terms}.items()}
        return loss * n, n, {**log, "sample_size": n, "nsignals": len(item)}

    def compare(self, z: Tensor, item: Tensor, view: Tensor) -> Tensor:
        """The loss between two views of each item, a scalar, of their vectors (N, P)."""
        if str(self.cfg.loss) == "nt_xent":
            return nt_xent_loss(z, item[:, None] == item, self.cfg.temp)
        pairs = itertools.combinations(by_view(z, item, view), 2)
        return torch.stack([vicreg_loss(self.cfg, one, other) for one, other in pairs]).mean()

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        for name in SMDCriterion.logged:
            log_share(logging_outputs, name, name, "sample_size")
