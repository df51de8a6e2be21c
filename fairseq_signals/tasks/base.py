"""What the three tasks share: options of the data, checked configurations, whole-set validation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch
from fairseq.data import FairseqDataset
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from omegaconf import II, MISSING, OmegaConf

from fairseq_signals.data.dataset import ECGDataset
from fairseq_signals.data.manifest import Manifest, read_manifest
from fairseq_signals.data.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS, parse_leads
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig, check_keys
from fairseq_signals.transforms.build import build_transforms


@dataclass
class ECGTaskConfig(OpenConfig):
    """Options of the data, common to all tasks."""

    data: str = field(default=MISSING, metadata={"help": "folder of the manifests"})
    sample_rate: float = field(default=500.0, metadata={"help": "sampling rate of every segment, Hz"})
    leads_to_load: Any = field(
        default=None,
        metadata={
            "help": "leads by name or 0-based index, a list or 'I,II,V2'; or a lead set, '12', '6', '3', "
            "'2' or '1'"
        },
    )
    enable_padding_leads: bool = field(
        default=True, metadata={"help": "leads that are not loaded are zeros on an axis of 12"}
    )
    enable_padding: bool = field(
        default=True, metadata={"help": "pad a batch to its longest segment; else cut to the shortest"}
    )
    normalize: bool = field(default=False, metadata={"help": "mean 0 and standard deviation 1 per lead"})
    min_sample_size: Optional[int] = field(default=None, metadata={"help": "leave out shorter segments"})
    max_sample_size: Optional[int] = field(default=None, metadata={"help": "cut longer segments"})
    perturbation_mode: Optional[List[str]] = field(
        default=None, metadata={"help": "transforms of training segments, in this order"}
    )
    p: List[float] = field(
        default_factory=lambda: [1.0], metadata={"help": "probability of each transform, or one for all"}
    )
    mask_leads_selection: str = field(
        default="random", metadata={"help": "random lead masking: 'random' or 'conditional'"}
    )
    mask_leads_prob: float = field(default=0.5, metadata={"help": "'random': probability of each lead"})
    mask_leads_condition: List[int] = field(
        default_factory=lambda: [4, 5], metadata={"help": "'conditional': limb and chest leads to mask"}
    )
    seed: int = II("common.seed")


class TrainingDataset(ECGDataset, FairseqDataset):
    """`ECGDataset` with what fairseq's batching and iterators ask of a dataset."""

    # the order of a new epoch is a new one, and with it what is in a batch
    can_reuse_epoch_itr_across_epochs = False
    supports_fetch_outside_dataloader = True


class ECGTask(FairseqTask):
    """Base of the tasks. A subclass sets `config_class` and says which datasets a split has."""

    config_class = ECGTaskConfig

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        if cfg.sample_rate <= 0:
            raise ConfigError(f"task.sample_rate must be > 0 Hz, but is {cfg.sample_rate} instead")
        spec = cfg.leads_to_load
        self.leads = parse_leads(OmegaConf.to_container(spec) if OmegaConf.is_config(spec) else spec)
        self.transforms = build_transforms(cfg)
        self.validation: Dict[str, Dict[str, List[Any]]] = {}

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> "ECGTask":
        """Check the configuration; raises ConfigError for unknown keys, LeadError for unknown leads."""
        check_keys(cls.config_class, cfg, "task")
        return cls(cfg)

    def manifest(self, name: str) -> Manifest:
        """The manifest `<name>.tsv` of this task's folder."""
        return read_manifest(Path(self.cfg.data) / f"{name}.tsv")

    def dataset_of(self, manifest: Manifest, split: str, **options: Any) -> TrainingDataset:
        """A dataset with this task's options; transforms and a new order each epoch in training only."""
        train = split.startswith("train")
        return TrainingDataset(
            SegmentReader(manifest, self.cfg.sample_rate),
            leads=self.leads,
            pad_leads=self.cfg.enable_padding_leads,
            shuffle=train,
            seed=self.cfg.seed,
            normalize=self.cfg.normalize,
            pad=self.cfg.enable_padding,
            min_sample_size=self.cfg.min_sample_size,
            max_sample_size=self.cfg.max_sample_size,
            subset=split,
            **options,
        )

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model, after checking that it takes as many leads as the data has."""
        in_d = len(LEADS) if self.cfg.enable_padding_leads else len(self.leads)
        if getattr(cfg, "in_d", in_d) != in_d:
            raise ConfigError(f"model.in_d is {cfg.in_d}, but task.leads_to_load gives {in_d} leads")
        return super().build_model(cfg, from_checkpoint)

    def begin_valid_epoch(self, epoch: int, model: Any) -> None:
        """Forget the validation outputs of the epoch before."""
        super().begin_valid_epoch(epoch, model)
        self.validation.clear()

    def collect(self, logging_outputs: Sequence[Dict[str, Any]], keys: Sequence[str]) -> Dict[str, List[Any]]:
        """Keep these validation outputs of all workers; returns the subset's collection so far."""
        subset = logging_outputs[0].get("subset", "valid")
        kept = self.validation.setdefault(subset, {key: [] for key in keys})
        for log in logging_outputs:
            for key in keys:
                kept[key].append(log[key])
        return kept

    def valid_step(self, sample: Any, model: Any, criterion: Any) -> Any:
        """Evaluate a batch; its outputs carry the name of their subset."""
        loss, sample_size, log = super().valid_step(sample, model, criterion)
        if any(isinstance(value, torch.Tensor) and value.dim() for value in log.values()):
            log["subset"] = sample["subset"]
        return loss, sample_size, log

    def reduce_metrics(self, logging_outputs: List[Dict[str, Any]], criterion: Any) -> None:
        """Log what the criterion makes of the workers' outputs."""
        n = sum(log.get("nsignals", 0) for log in logging_outputs)
        metrics.log_scalar("nsignals", float(n), priority=190, round=1)
        criterion.__class__.reduce_metrics(logging_outputs)

    def max_positions(self) -> None:
        """Segments have no maximal length."""

    @property
    def source_dictionary(self) -> None:
        """Signals have no dictionary."""

    @property
    def target_dictionary(self) -> None:
        """Signals have no dictionary."""


def log_lazily(values: Callable[[], Dict[str, float]], names: Sequence[str], n: Callable[[], int]) -> None:
    """Log metrics of a whole validation set: computed once, when fairseq asks for them at its end.

    Args:
        values: computes all metrics from what has been collected.
        names: which of them to log.
        n: how much has been collected, so that more of it means computing again.
    """
    cache: Dict[str, Any] = {"n": -1}

    def value(name: str) -> float:
        if cache["n"] != n():
            cache.update(values(), n=n())
        return cache[name]

    for name in names:
        metrics.log_derived(name, lambda meters, name=name: value(name))


def first_rows(ids: torch.Tensor) -> torch.Tensor:
    """Rows with the first occurrence of each id, by ascending id: no item counts twice."""
    order = torch.argsort(ids, stable=True)
    sorted_ids = ids[order]
    first = torch.ones_like(sorted_ids, dtype=torch.bool)
    first[1:] = sorted_ids[1:] != sorted_ids[:-1]
    return order[first]
