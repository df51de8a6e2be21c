"""`simdino`: views of a segment agree with its teacher's, and spread over all directions (SimDINOv2).

Z. Wu et al., arXiv:2502.10385; on ECGs xECG, R. Lunelli et al., arXiv:2509.10151, with another encoder.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.views import check_views
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.models.ecg_contrastive import ContrastiveOutput
from fairseq_signals.modules.dino import cosine_costs
from fairseq_signals.modules.distributed import gather_rows, mean_over_workers
from fairseq_signals.modules.joint_embedding import by_view, coding_rate


@dataclass
class SimDINOConfig(OpenConfig):
    """What the terms weigh."""

    rate_weight: float = field(default=0.1, metadata={"help": "of the coding rate, which is to be large"})
    eps: float = field(default=0.05, metadata={"help": "of the coding rate (> 0)"})
    frames_weight: float = field(
        default=1.0,
        metadata={
            "help": "of masked frames against the teacher's, which needs model.apply_mask: without it there "
            "are none; 0: they are not compared"
        },
    )


def view_distances(student: Tensor, local: Tensor, teacher: Tensor) -> Tensor:
    """Mean of half the squared distance of each student's view from each teacher's of the same segment.

    A view is not compared with itself.

    Args:
        student, teacher: (V, S, P) of unit length.
        local: (L, S, P) of unit length, of the student's short views; L may be 0.
    """
    every = torch.cat([student, local])
    squares = (every[:, None] - teacher[None]).square().sum(dim=-1).mean(dim=-1) / 2  # (V + L, V)
    others = ~torch.eye(*squares.shape, dtype=torch.bool, device=squares.device)
    return squares[others].mean()


@register_criterion("simdino", dataclass=SimDINOConfig)
class SimDINOCriterion(ECGCriterion):
    """Distances between views, less the coding rate, plus masked frames."""

    logged = ("loss", "distance_loss", "coding_rate", "frames_loss")
    takes_local_views = True

    def __init__(self, cfg: SimDINOConfig, task: Any):
        super().__init__(cfg, task)
        check_views("simdino", task)
        if not cfg.eps > 0:
            raise ConfigError(f"criterion.eps must be > 0, but is {cfg.eps} instead")
        for name in ("rate_weight", "frames_weight"):
            if getattr(cfg, name) < 0:
                raise ConfigError(f"criterion.{name} must be >= 0, but is {getattr(cfg, name)} instead")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of segments, that number, and what to log."""
        own = not sample.get("repeated", False)
        found: ContrastiveOutput = model(**sample["net_input"], contribute=own)
        if found.teacher is None:
            raise ConfigError("criterion simdino needs model.teacher=true")
        place = [gather_rows(sample[key], own) for key in ("segment_row", "view")]
        student, teacher = (
            by_view(gather_rows(F.normalize(z.float(), dim=-1), own), *place)
            for z in (found.g, found.teacher)
        )
        distance = view_distances(student, self._local(found, sample, own), teacher)
        rate = torch.stack([coding_rate(z, self.cfg.eps) for z in student]).mean()
        frames = self._frames(found, own)
        loss = distance - self.cfg.rate_weight * rate + self.cfg.frames_weight * frames
        n = max(int((sample["view"] == 0).sum()), 1)
        log = {"distance_loss": distance, "coding_rate": rate, "frames_loss": frames, "loss": loss}
        told = {name: value.detach() * n for name, value in log.items()}
        return loss * n, n, {"sample_size": n, "nsignals": len(sample["id"]), **told}

    def _local(self, found: ContrastiveOutput, sample: Dict[str, Any], own: bool) -> Tensor:
        """Unit vectors of short views, (L, S, P), segments in the order of `by_view`."""
        segments = sample["segment_row"][sample["view"] == 0]
        if found.local is None:
            return found.g.new_zeros(0, len(gather_rows(segments, own)), found.g.shape[1]).float()
        z = F.normalize(found.local.float(), dim=-1)
        n = len(z) // max(len(segments), 1)
        rows = segments.repeat_interleave(n)
        view = torch.arange(n, device=rows.device).repeat(len(segments))
        return by_view(gather_rows(z, own), gather_rows(rows, own), gather_rows(view, own))

    def _frames(self, found: ContrastiveOutput, own: bool) -> Tensor:
        """Mean of 1 - cosine of the masked frames with the teacher's, over all workers."""
        if found.span_mask is None or found.teacher_x is None or not self.cfg.frames_weight:
            return found.g.new_zeros(())
        costs = cosine_costs(found.x, found.teacher_x)
        n = int(found.span_mask.sum())
        return mean_over_workers((costs * found.span_mask).sum() / max(n, 1), n, own)

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log means over segments."""
        for name in ("loss", "distance_loss", "coding_rate", "frames_loss"):
            log_share(logging_outputs, name, name, "sample_size")
