"""`ecg_classification`: arrhythmia classification (Oh et al., Sec. 4), of several classes or exactly one."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from fairseq.tasks import register_task

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.criterions.classification import ClassificationCriterion
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.labels import (
    SINUS_RHYTHM,
    LabelTable,
    multi_hot,
    read_labels,
    read_weights,
    require_one_class,
)
from fairseq_signals.manifest.table import STORE, Manifest
from fairseq_signals.metrics.cinc2021 import challenge_score
from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.metrics.decisions import predicted_classes
from fairseq_signals.models.given_path import given_path, missing_path
from fairseq_signals.tasks.config import ECGTaskConfig
from fairseq_signals.tasks.finetuning import FinetuningTask
from fairseq_signals.tasks.validation import ValidationSet, log_whole_set


@dataclass
class ECGClassificationConfig(ECGTaskConfig):
    """The options of the data."""


@register_task("ecg_classification", dataclass=ECGClassificationConfig)
class ECGClassificationTask(FinetuningTask):
    """Classes come from `labels.csv` beside the manifests (from the files, for the authors' `.mat` data)."""

    exclusive = (
        False  # whether the criterion wants exactly one class a segment; fairseq builds it before data
    )

    @cached_property
    def outputs(self) -> Optional[LabelTable]:
        """The label table, or None where the folder has none."""
        path = self.folder / "labels.csv"
        return read_labels(path) if path.is_file() else None

    @cached_property
    def num_labels(self) -> int:
        """Number of classes."""
        if self.outputs is not None:
            return len(self.outputs)
        train = self.manifest("train")
        if train.layout == STORE:
            raise ManifestError(
                f"{self.folder}: has no labels.csv; make the folder with manifests/classification.py"
            )
        return len(SegmentReader(train, self.cfg.sample_rate).mat_label(0))

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv` with its labels."""
        manifest = self.manifest(split)
        transform = self.transforms if split.startswith("train") else None
        targets = self._targets(manifest)
        self.datasets[split] = self.dataset_of(manifest, split, transform=transform, targets=targets)

    def _targets(self, manifest: Manifest) -> torch.Tensor:
        if manifest.layout != STORE:
            reader = SegmentReader(manifest, self.cfg.sample_rate)
            found = np.stack([reader.mat_label(i) for i in range(len(manifest))])
        else:
            found = multi_hot(manifest, self.num_labels, "labels.csv").astype(np.float32)
        if self.exclusive:
            require_one_class(manifest, found > 0)
        return torch.from_numpy(found)

    def prepare_validation(self, criterion: Any) -> List[str]:
        """Find the weight matrix of the CinC 2021 score, where it is to be reported."""
        if not isinstance(criterion, ClassificationCriterion):
            raise ConfigError(
                f"criterion {criterion.cfg._name} is not for task ecg_classification; use "
                "binary_cross_entropy_with_logits, or cross_entropy_with_logits"
            )
        cfg, self.exclusive = criterion.cfg, criterion.threshold is None
        path = given_path(cfg.weights_file) if cfg.weights_file else self.folder / "weights.csv"
        wanted = cfg.report_cinc_score
        if wanted is None:
            wanted = bool(cfg.weights_file) or path.is_file()
        self.weights = self._weights(path) if wanted else None
        self.metric_names = metric_names(cfg, self.num_labels, wanted)
        return [*super().prepare_validation(criterion), *self.metric_names]

    def _weights(self, path: Path) -> Tuple[np.ndarray, int]:
        if self.outputs is None:
            raise ConfigError("criterion.report_cinc_score needs labels.csv beside the manifests")
        if not path.is_file():
            raise ConfigError(
                f"criterion.report_cinc_score needs a weight matrix, but {missing_path(path)}. "
                "Set criterion.weights_file, or report_cinc_score=false and "
                "checkpoint.best_checkpoint_metric=auroc"
            )
        return read_weights(path, self.outputs), self.outputs.index_of_code(SINUS_RHYTHM)

    def log_validation(self, outputs: ValidationSet, criterion: Any) -> None:
        """Log AUROC, AUPRC, F-measure and CinC 2021 score as the criterion is configured."""
        cfg = criterion.cfg

        def compute(columns: Dict[str, np.ndarray]) -> Dict[str, float]:
            threshold, weights = criterion.threshold, self.weights
            return validation_metrics(columns["label"], columns["scores"], cfg, threshold, weights)

        log_whole_set(outputs, compute, self.metric_names)


def metric_names(cfg: Any, n_classes: int, cinc_score: bool) -> List[str]:
    """The metrics of `validation_metrics` to log under this criterion configuration."""
    names = ["accuracy", "f_measure"]
    if cfg.report_auc:
        names += ["auroc", "auprc"]
        if cfg.report_per_class:
            names += [f"{kind}_{c}" for c in range(n_classes) for kind in ("auroc", "auprc")]
    return names + (["cinc_score"] if cinc_score else [])


def validation_metrics(
    label: np.ndarray,
    scores: np.ndarray,
    cfg: Any,
    threshold: Optional[float],
    weights: Optional[Tuple[np.ndarray, int]],
) -> Dict[str, float]:
    """Metrics of a whole set: labels (N, C) bool, probabilities (N, C)."""
    result = classification_metrics(label, scores, threshold=threshold, average=str(cfg.auc_average))
    values = {name: float(result[name]) for name in ("accuracy", "f_measure", "auroc", "auprc")}
    for kind in ("auroc", "auprc"):
        values.update({f"{kind}_{c}": float(v) for c, v in enumerate(result[f"{kind}_classes"])})
    if weights is not None:
        values["cinc_score"] = float(challenge_score(label, predicted_classes(scores, threshold), *weights))
    return values
