"""`3kg`: NT-Xent in which all recordings of one patient are positives (3KG, arXiv:2106.04452)."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion

from fairseq_signals.criterions.contrast import ContrastConfig, ContrastCriterion
from fairseq_signals.errors import ConfigError


@dataclass
class ThreeKGCriterionConfig(ContrastConfig):
    """The options of `ContrastConfig`."""


@register_criterion("3kg", dataclass=ThreeKGCriterionConfig)
class ThreeKGCriterion(ContrastCriterion):
    """NT-Xent; positive are all other views and segments of the same patient."""

    keys = ("patient_id",)

    def check_data(self, n_views: int, pairs: bool) -> None:
        if n_views < 2 and not pairs:
            raise ConfigError(
                "criterion 3kg contrasts views of a patient, but task.views is 1 and task.segment_pairs is "
                "false; set task.views to 2"
            )
