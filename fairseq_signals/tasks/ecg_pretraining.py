"""`ecg_pretraining`: unlabelled segments, or pairs of them (Oh et al., Sec. 3)."""

from dataclasses import dataclass, field
from typing import Any

from fairseq.tasks import register_task

from fairseq_signals.tasks.base import ECGTask, ECGTaskConfig


@dataclass
class ECGPretrainingConfig(ECGTaskConfig):
    """Options of pre-training data."""

    segment_pairs: bool = field(
        default=True,
        metadata={
            "help": "an item is a pair of adjacent segments (global losses need pairs); else one segment"
        },
    )


@register_task("ecg_pretraining", dataclass=ECGPretrainingConfig)
class ECGPretrainingTask(ECGTask):
    """Random lead masking and other transforms apply to validation too: it is the loss that is validated."""

    config_class = ECGPretrainingConfig

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv`."""
        self.datasets[split] = self.dataset_of(
            self.manifest(split), split, pairs=self.cfg.segment_pairs, transform=self.transforms
        )
