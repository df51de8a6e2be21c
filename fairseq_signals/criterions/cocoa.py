"""`cocoa`: views of one segment attract each other, and segments repel each other in each view.

COCOA, Deldari et al., IMWUT 2022, arXiv:2208.00467, as in the code of contrastive random lead coding
(theabrusch/Multiview_TS_SSL), which is where the defaults are from.
"""

from dataclasses import dataclass, field
from typing import Dict

from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.contrast import Contrast, ContrastConfig, ContrastCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.nt_xent import cosines, without_diagonal


def cocoa_loss(
    z: Tensor,
    segment_row: Tensor,
    view: Tensor,
    temperature: float = 0.5,
    positive_weight: float = 1 / 32,
    negative_weight: float = 3.9e-3,
) -> Contrast:
    """Sums over segments of the errors between their views, and of likenesses to other segments, weighted.

    With s the cosine and t the temperature, of each segment the mean of exp((1 - s) / t) over all pairs of
    its views, a view with itself included; and of each row the mean of exp(s / t) over the other segments in
    the same view (0 where there are none). As these are sums, the loss grows with the batch.

    Args:
        z: (N, D) embeddings, normalised here.
        segment_row: (N,) integer, which segment a row is of.
        view: (N,) integer, which of its views.
        temperature: > 0.
        positive_weight: of the errors between views.
        negative_weight: of the likenesses.
    """
    cosine = cosines(z)
    same_segment = segment_row[:, None] == segment_row
    negative = (view[:, None] == view) & ~same_segment
    n_views, n_negatives = same_segment.sum(dim=1), negative.sum(dim=1)
    errors = (((1 - cosine) / temperature).exp() * same_segment).sum(dim=1) / n_views**2
    likenesses = ((cosine / temperature).exp() * negative).sum(dim=1) / n_negatives.clamp(min=1)
    loss = positive_weight * errors.sum() + negative_weight * likenesses.sum()
    return Contrast(loss, without_diagonal(same_segment))


@dataclass
class COCOACriterionConfig(ContrastConfig):
    """What the terms weigh."""

    temp: float = field(default=0.5, metadata={"help": "temperature of the exponentials (> 0)"})
    positive_weight: float = field(
        default=1 / 32, metadata={"help": "weight of the errors between views of a segment"}
    )
    negative_weight: float = field(default=3.9e-3, metadata={"help": "weight of likenesses between segments"})


@register_criterion("cocoa", dataclass=COCOACriterionConfig)
class COCOACriterion(ContrastCriterion):
    """`cocoa_loss` of two or more views."""

    keys = ("segment_row", "view")

    def check_data(self, n_views: int, pairs: bool) -> None:
        if n_views < 2:
            raise ConfigError(
                "criterion cocoa contrasts views of a segment, but task.views is 1; set it to 2"
            )

    def contrast(self, z: Tensor, rows: Dict[str, Tensor]) -> Contrast:
        cfg = self.cfg
        weights = cfg.positive_weight, cfg.negative_weight
        return cocoa_loss(z, rows["segment_row"], rows["view"], cfg.temp, *weights)
