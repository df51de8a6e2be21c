"""`ts2vec`: the frames of two views of a segment find each other (TS2Vec, AAAI 2022, arXiv:2106.10466).

With task.view_leads=disjoint it is contrastive random lead coding (arXiv:2410.19842) with a loss over time.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.contrast import Contrast, ContrastConfig, ContrastCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.distributed import pad_to_longest
from fairseq_signals.modules.hierarchical_contrast import hierarchical_loss
from fairseq_signals.modules.nt_xent import without_diagonal


@dataclass
class TS2VecCriterionConfig(ContrastConfig):
    """What the terms weigh."""

    temp: float = field(
        default=1.0, metadata={"help": "what products of frames are divided by (> 0); 1 in TS2Vec"}
    )
    alpha: float = field(
        default=0.5,
        metadata={
            "help": "weight of the contrast with other segments at the same time; that with other times of "
            "the same segment has the rest"
        },
    )


@register_criterion("ts2vec", dataclass=TS2VecCriterionConfig)
class TS2VecCriterion(ContrastCriterion):
    """`hierarchical_loss` of projected frames, on the model `ecg_contrastive`.

    The accuracy that is logged is that of the means over frames, by their cosines.
    """

    keys = ("segment_row", "view")

    def __init__(self, cfg: TS2VecCriterionConfig, task: Any):
        super().__init__(cfg, task)
        if not 0 <= cfg.alpha <= 1:
            raise ConfigError(f"criterion.alpha must be in [0, 1], but is {cfg.alpha} instead")

    def check_data(self, n_views: int, pairs: bool) -> None:
        if n_views != 2:
            raise ConfigError(
                f"criterion ts2vec contrasts two views of each segment, but the task makes {n_views}: set "
                "task.views=2, and task.view_leads to all or disjoint"
            )

    def represent(self, model: Any, sample: Dict[str, Any]) -> Tuple[Tensor, Dict[str, Tensor]]:
        output, more = self.output(model, sample, project_frames=True)
        frames = output.frames.float()
        n_frames = torch.full((len(frames),), frames.shape[1], device=frames.device)
        if output.padding_mask is not None:
            n_frames = (~output.padding_mask).sum(dim=1)
        if self.cfg.all_gather:
            frames = pad_to_longest(frames)
        return output.g.float(), {"frames": frames, "n_frames": n_frames, **more}

    def contrast(self, z: Tensor, rows: Dict[str, Tensor]) -> Contrast:
        key, view = rows["segment_row"], rows["view"]
        first, second = (of.nonzero()[:, 0][key[of].argsort()] for of in (view == 0, view == 1))
        loss = hierarchical_loss(
            rows["frames"][first],
            rows["frames"][second],
            rows["n_frames"][first],
            self.cfg.alpha,
            self.cfg.temp,
        )
        return Contrast(loss, without_diagonal(key[:, None] == key))
