"""`ecg_pretraining`: unlabelled segments, or pairs of them (Oh et al., Sec. 3), in one or several views."""

from dataclasses import dataclass, field
from typing import Any

from fairseq.tasks import register_task

from fairseq_signals.batches.views import Views
from fairseq_signals.errors import ConfigError
from fairseq_signals.tasks.base import ECGTask
from fairseq_signals.tasks.config import ECGTaskConfig


@dataclass
class ECGPretrainingConfig(ECGTaskConfig):
    """Options of pre-training data."""

    segment_pairs: Any = field(  # a bool that is True by default would be a flag that makes it False
        default=True,
        metadata={
            "help": "an item is a pair of adjacent segments (global losses need pairs); false: one segment"
        },
    )
    views: int = field(
        default=1, metadata={"help": "views of each segment in a batch, transformed independently"}
    )
    view_leads: str = field(
        default="all",
        metadata={
            "help": "leads of a view: 'all' that are loaded; 'disjoint': they are dealt out to the views at "
            "random (contrastive random lead coding); 'single': a view for each (CLOCS), views stays 1"
        },
    )
    min_view_leads: int = field(default=1, metadata={"help": "'disjoint': leads that each view has at least"})


@register_task("ecg_pretraining", dataclass=ECGPretrainingConfig)
class ECGPretrainingTask(ECGTask):
    """Random lead masking and other transforms apply to validation too: it is the loss that is validated."""

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        given = cfg.segment_pairs
        self.pairs = {"true": True, "false": False}.get(str(given).lower())
        if self.pairs is None:
            raise ConfigError(f"task.segment_pairs must be true or false, but is {given!r} instead")
        self.views = Views(self.leads, cfg.views, cfg.view_leads, cfg.min_view_leads)
        self.n_views = len(self.views)

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv`."""
        self.datasets[split] = self.dataset_of(
            self.manifest(split),
            split,
            pairs=self.pairs,
            transform=self.transforms,
            views=self.views,
        )
