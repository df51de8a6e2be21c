"""`3kg`: NT-Xent in which all recordings of one patient are positives (3KG, arXiv:2106.04452)."""

from dataclasses import dataclass
from typing import Dict

from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.contrast import Contrast, ContrastConfig, ContrastCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.nt_xent import nt_xent_loss, without_diagonal


@dataclass
class ThreeKGCriterionConfig(ContrastConfig):
    """The options of `ContrastConfig`."""


@register_criterion("3kg", dataclass=ThreeKGCriterionConfig)
class ThreeKGCriterion(ContrastCriterion):
    """NT-Xent; positive are all other views and segments of the same patient."""

    config_class = ThreeKGCriterionConfig
    keys = ("patient_id",)

    def check_data(self, n_views: int, pairs: bool) -> None:
        if n_views < 2 and not pairs:
            raise ConfigError(
                "criterion 3kg contrasts views of a patient, but task.views is 1 and task.segment_pairs is "
                "false; set task.views to 2"
            )

    def contrast(self, z: Tensor, rows: Dict[str, Tensor]) -> Contrast:
        patient = rows["patient_id"]
        positive = without_diagonal(patient[:, None] == patient[None, :])
        return Contrast(nt_xent_loss(z, positive, self.cfg.temp), positive)
