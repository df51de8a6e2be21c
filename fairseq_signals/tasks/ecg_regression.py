"""`ecg_regression`: numbers of a recording, such as age, ejection fraction or potassium."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List

import numpy as np
import torch
from fairseq.tasks import register_task

from fairseq_signals.criterions.regression import RegressionCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.folder import TARGETS_FILE
from fairseq_signals.manifest.targets import TargetTable, read_targets, read_values
from fairseq_signals.metrics.regression import METRICS, regression_metrics
from fairseq_signals.tasks.config import ECGTaskConfig
from fairseq_signals.tasks.finetuning import FinetuningTask
from fairseq_signals.tasks.validation import ValidationSet, log_whole_set


@dataclass
class ECGRegressionConfig(ECGTaskConfig):
    """The options of the data."""


@register_task("ecg_regression", dataclass=ECGRegressionConfig)
class ECGRegressionTask(FinetuningTask):
    """Targets come from `targets.csv` beside the manifests, with the mean and deviation to standardise by.

    The model learns standardised numbers; validation is in the targets' units.
    """

    noted_as = "targets"

    @cached_property
    def outputs(self) -> TargetTable:
        """The target table."""
        return read_targets(self.folder / TARGETS_FILE)

    @property
    def num_labels(self) -> int:
        """Number of targets."""
        return len(self.outputs)

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv` with its targets."""
        manifest = self.manifest(split)
        transform = self.transforms if split.startswith("train") else None
        values = read_values(manifest, self.num_labels, TARGETS_FILE)
        # float64, since fairseq rounds float32 to 16 bits where a model trains in them
        targets = torch.from_numpy(self.outputs.standardised(values))
        self.datasets[split] = self.dataset_of(manifest, split, transform=transform, targets=targets)

    def prepare_validation(self, criterion: Any) -> List[str]:
        """The names of all that validation logs."""
        if not isinstance(criterion, RegressionCriterion):
            raise ConfigError(
                f"criterion {criterion.cfg._name} is not for task ecg_regression; use regression"
            )
        return [*super().prepare_validation(criterion), *metric_names(self.num_labels)]

    def log_validation(self, outputs: ValidationSet, criterion: Any) -> None:
        """Log errors and correlation in the targets' units."""

        def compute(columns: Dict[str, np.ndarray]) -> Dict[str, float]:
            return validation_metrics(columns["target"], columns["predicted"], self.outputs)

        log_whole_set(outputs, compute, metric_names(self.num_labels))


def metric_names(n_targets: int) -> List[str]:
    """The metrics of `validation_metrics`."""
    numbered = [f"{name}_{k}" for k in range(n_targets) for name in METRICS] if n_targets > 1 else []
    return [*METRICS, *numbered]


def validation_metrics(truth: np.ndarray, predicted: np.ndarray, targets: TargetTable) -> Dict[str, float]:
    """Metrics of a whole set from standardised numbers (N, K).

    Of one target they are in its units. Of several, `mae_0` and so on are in the units of each, and `mae`,
    `rmse`, `r2` and `pearson` are means over them, errors then in standard deviations of the training values.
    """
    found = regression_metrics(targets.in_units(truth), targets.in_units(predicted))
    if len(targets) == 1:
        return {name: float(values[0]) for name, values in found.items()}
    numbered = {f"{name}_{k}": float(v) for name, values in found.items() for k, v in enumerate(values)}
    means = {name: float(values.mean()) for name, values in regression_metrics(truth, predicted).items()}
    return {**numbered, **means}
