"""`simclr`: two views of one segment find each other among all others (SimCLR, arXiv:2002.05709, Eq. 1).

With task.view_leads=disjoint it is contrastive random lead coding (arXiv:2410.19842).
"""

from dataclasses import dataclass

from fairseq.criterions import register_criterion

from fairseq_signals.criterions.contrast import ContrastConfig, ContrastCriterion
from fairseq_signals.errors import ConfigError


@dataclass
class SimCLRCriterionConfig(ContrastConfig):
    """The options of `ContrastConfig`."""


@register_criterion("simclr", dataclass=SimCLRCriterionConfig)
class SimCLRCriterion(ContrastCriterion):
    """NT-Xent; positive are the other views of the same segment."""

    keys = ("segment_row",)

    def check_data(self, n_views: int, pairs: bool) -> None:
        if n_views < 2:
            raise ConfigError(
                "criterion simclr contrasts views of a segment, but task.views is 1; set it to 2"
            )
