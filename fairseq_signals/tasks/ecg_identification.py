"""`ecg_identification`: whose recording is it? (Oh et al., Sec. 4)."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, List

import numpy as np
import torch
from fairseq.tasks import register_task

from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.table import Manifest, concatenate
from fairseq_signals.metrics.identification import mean_by_record, rank1_accuracy
from fairseq_signals.tasks.config import ECGTaskConfig
from fairseq_signals.tasks.finetuning import FinetuningTask
from fairseq_signals.tasks.validation import ValidationSet, log_whole_set

FEATURES = ("embedding", "class_cosine")


@dataclass
class ECGIdentificationConfig(ECGTaskConfig):
    """Options of the data."""

    per_record: bool = field(
        default=True,
        metadata={"help": "compare recordings (mean of their segments' embeddings); else segments"},
    )
    features: str = field(
        default="embedding",
        metadata={
            "help": "what is compared: 'embedding', L2-normalised (the paper), or 'class_cosine', the "
            "cosines with the training patients, as they are (the authors' code)"
        },
    )


@register_task("ecg_identification", dataclass=ECGIdentificationConfig)
class ECGIdentificationTask(FinetuningTask):
    """Training classes are patients; validation matches probe recordings with gallery recordings.

    The split `<name>` of validation is read from `<name>_gallery.tsv` and `<name>_probe.tsv`. Its `loss` is
    the share of probes that get a wrong identity, so that fairseq's default choice of the best checkpoint
    means something.
    """

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        if cfg.features not in FEATURES:
            raise ConfigError(
                f"task.features must be one of {', '.join(FEATURES)}, but is {cfg.features!r} instead"
            )

    @cached_property
    def num_labels(self) -> int:
        """Number of training patients."""
        return 1 + max(self._classes(self.manifest("train")))

    def _classes(self, manifest: Manifest) -> List[int]:
        for line, target in enumerate(manifest.targets, start=2):
            if not target.isdigit():
                raise ManifestError(
                    f"{manifest.path}:{line}: a training segment needs one class, but has {target!r}. "
                    "Rebuild it with manifests/identification.py."
                )
        return [int(target) for target in manifest.targets]

    def compared_features(self, model: Any, embedding: torch.Tensor) -> torch.Tensor:
        """What gallery and probe are compared by, of embeddings (B, D)."""
        return embedding if self.cfg.features == "embedding" else model.cosine_logits(embedding)

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv` for training, else its gallery and probe."""
        if split.startswith("train"):
            manifest = self.manifest(split)
            targets = torch.tensor(self._classes(manifest))
            self.datasets[split] = self.dataset_of(
                manifest, split, transform=self.transforms, targets=targets
            )
            return
        gallery, probe = self.manifest(f"{split}_gallery"), self.manifest(f"{split}_probe")
        for manifest in (gallery, probe):
            if not len(manifest):
                raise ManifestError(
                    f"{manifest.path}: has no segment; identification compares gallery and probe"
                )
        is_probe = np.repeat([False, True], [len(gallery), len(probe)])
        self.datasets[split] = self.dataset_of(concatenate(gallery, probe), split, is_probe=is_probe)

    def log_validation(self, outputs: ValidationSet, criterion: Any) -> None:
        """Log the accuracy of identification, and its complement as the loss."""

        def compute(columns: Dict[str, np.ndarray]) -> Dict[str, float]:
            if len(np.unique(columns["is_probe"])) < 2:  # the first batches: there is nothing to compare yet
                return {"accuracy": float("nan"), "loss": float("nan")}
            accuracy = identification_accuracy(
                **columns, per_record=self.cfg.per_record, normalize=self.cfg.features == "embedding"
            )
            return {"accuracy": accuracy, "loss": 1.0 - accuracy}

        log_whole_set(outputs, compute, ("accuracy", "loss"))


def identification_accuracy(
    embedding: np.ndarray,
    patient_id: np.ndarray,
    record_id: np.ndarray,
    is_probe: np.ndarray,
    id: np.ndarray,
    per_record: bool = True,
    normalize: bool = True,
) -> float:
    """Top-1 accuracy of probe against gallery: (N, D) embeddings of N segments.

    Args:
        patient_id, record_id: (N,) integers.
        is_probe: (N,) bool.
        id: (N,) distinct integers; what a record is where `per_record` is False.
        normalize: compare cosines; else inner products.
    """
    sides = []
    for side in (~is_probe, is_probe):
        group = (record_id if per_record else id)[side]
        vectors, groups = mean_by_record(embedding[side], group, normalize)
        patient_of = dict(zip(group.tolist(), patient_id[side].tolist()))
        sides.append((vectors, np.array([patient_of[g] for g in groups.tolist()])))
    (gallery, gallery_ids), (probe, probe_ids) = sides
    return float(rank1_accuracy(gallery, gallery_ids, probe, probe_ids, normalize=normalize).accuracy)
