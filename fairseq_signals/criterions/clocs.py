"""`clocs`: segments and leads of one patient find each other, view against view (CLOCS, arXiv:2005.13249).

A view is a segment of the pair (first or second) in one of the batch's lead views. For each pair of views
that `mode` compares, the loss is `cmsc_loss` between the two (symmetric InfoNCE; negatives are the rows of
the opposite view).
"""

from dataclasses import dataclass, field
from typing import Dict

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.cmsc import check_pairs
from fairseq_signals.criterions.contrast import Contrast, ContrastConfig, ContrastCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.nt_xent import cosines

MODES = ("cmsc", "cmlc", "cmsmlc")


def clocs_loss(
    g: Tensor, patient_id: Tensor, second: Tensor, view: Tensor, mode: str, temperature: float
) -> Contrast:
    """Mean over pairs of views of the symmetric InfoNCE between them.

    For a pair of views, the mean over its positive pairs in each direction, and of the two directions; rows
    are positive where they are of one patient. Pairs of views without a positive count for nothing; without
    any the loss is 0 (with a zero gradient).

    Args:
        g: (N, D) global representations, normalised here.
        patient_id: (N,) integer; a patient may come several times in a view.
        second: (N,) bool, whether a row is of the second segment of a pair.
        view: (N,) integer, the lead view of a row.
        mode: views that are compared: "cmsc": the other segment, same lead view; "cmlc": another lead view of
            the same segment; "cmsmlc": all other views.
        temperature: softmax temperature, > 0.
    """
    one_segment, one_lead = second[:, None] == second, view[:, None] == view
    compared = {
        "cmsc": ~one_segment & one_lead,
        "cmlc": one_segment & ~one_lead,
        "cmsmlc": ~(one_segment & one_lead),
    }[mode]
    positive = compared & (patient_id[:, None] == patient_id)
    if not positive.any():
        return Contrast(g.float().sum() * 0.0, positive, compared)
    logits = cosines(g) / temperature
    _, group = torch.stack([second.long(), view.long()]).unique(dim=1, return_inverse=True)  # (N,) < G
    total = logsumexp_by_group(logits, group)  # (N, G)
    # how many positive pairs each pair of views has, from its first to its second: (G, G)
    member = F.one_hot(group).to(logits.dtype)
    count = member.T @ positive.to(logits.dtype) @ member
    weight = torch.where(count > 0, 1.0 / (count.clamp(min=1) * (count > 0).sum()), torch.zeros_like(count))
    terms = (total[:, group] - logits) * weight[group][:, group]  # (N, N)
    return Contrast(terms[positive].sum(), positive, compared)


def logsumexp_by_group(logits: Tensor, group: Tensor) -> Tensor:
    """Of each row of (N, N), the log of the sum of exponentials over the columns of each group: (N, G).

    Args:
        group: (N,) group of a column; every number from 0 to G - 1 occurs.
    """
    order = group.argsort(stable=True)
    size = group.bincount()
    slot = torch.arange(int(size.max()), device=group.device)
    filled = slot < size[:, None]  # (G, M)
    column = order[(size.cumsum(0) - size)[:, None].add(slot).clamp(max=len(group) - 1)]
    # (N, N) -> (N, G, M), -inf in slots beyond a group's size
    return logits[:, column].masked_fill(~filled, float("-inf")).logsumexp(dim=2)


@dataclass
class CLOCSCriterionConfig(ContrastConfig):
    """Which views are compared."""

    mode: ChoiceEnum(MODES) = field(  # type: ignore[valid-type]
        default="cmsc",
        metadata={"help": "compare with 'cmsc': the other segment; 'cmlc': other leads; 'cmsmlc': both"},
    )


@register_criterion("clocs", dataclass=CLOCSCriterionConfig)
class CLOCSCriterion(ContrastCriterion):
    """CMSC, CMLC or CMSMLC; the lead views are those of task.view_leads=single."""

    keys = ("patient_id", "segment", "view")

    def check_data(self, n_views: int, pairs: bool) -> None:
        mode = str(self.cfg.mode)
        if mode != "cmlc":
            check_pairs(f"criterion.mode={mode}", pairs)
        if mode != "cmsc" and n_views < 2:
            raise ConfigError(
                f"criterion.mode={mode} compares leads, but there is one view of each segment: set "
                "task.view_leads=single"
            )

    def contrast(self, z: Tensor, rows: Dict[str, Tensor]) -> Contrast:
        return clocs_loss(
            z, rows["patient_id"], rows["segment"] % 2 == 1, rows["view"], str(self.cfg.mode), self.cfg.temp
        )
