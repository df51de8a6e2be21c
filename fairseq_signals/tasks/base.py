"""What the three tasks share: options of the data, checked configurations, whole-set validation."""

import gc
import inspect
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.data import FairseqDataset
from fairseq.logging import metrics
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
from fairseq.tasks import FairseqTask
from omegaconf import OmegaConf
from torch import nn

from fairseq_signals.batches.dataset import ECGDataset
from fairseq_signals.batches.segment_options import SegmentOptions
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS, configured_leads
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.errors import ConfigError, FairseqSignalsError, ManifestError
from fairseq_signals.manifest.table import Manifest, read_manifest
from fairseq_signals.models.config import check_keys, check_name, whole_config
from fairseq_signals.models.given_path import given_path, missing_path
from fairseq_signals.modules.distributed import worker_rank
from fairseq_signals.safety.one_line import show_in_one_line
from fairseq_signals.tasks.config import complete_input, note
from fairseq_signals.tasks.progress import Progress, planned_updates
from fairseq_signals.tasks.resume import begin_run, own_checkpoint
from fairseq_signals.tasks.validation import ValidationSet, check_best_metric
from fairseq_signals.transforms.build import build_transforms

# With dataset.data_buffer_size=0 the loader of an epoch is left to the garbage collector. Workers are forked
# with it in memory: collected there, it fails to end workers that are not theirs, with a traceback
os.register_at_fork(after_in_child=gc.freeze)


class TrainingDataset(ECGDataset, FairseqDataset):
    """`ECGDataset` with what fairseq's batching and iterators ask of a dataset."""

    # the order of a new epoch is a new one, and with it what is in a batch
    can_reuse_epoch_itr_across_epochs = False
    supports_fetch_outside_dataloader = True

    def batch_by_size(
        self,
        indices: np.ndarray,
        max_tokens: Optional[int] = None,
        max_sentences: Optional[int] = None,
        required_batch_size_multiple: int = 1,
    ) -> List[np.ndarray]:
        """Batches that hold every item.

        `dataset.required_batch_size_multiple` (8 by default) is not heeded: with it, ve-fairseq drops the
        last items of a set whose size is no multiple, and so would score only a part of a validation set.
        """
        return super().batch_by_size(indices, max_tokens, max_sentences, 1)


def for_model(sample: Any, model: Any) -> Any:
    """A batch without `lead_present` where the model does not take it, as models of other code may not."""
    while isinstance(getattr(model, "module", None), nn.Module):  # data-parallel wrappers
        model = model.module
    taken = inspect.signature(model.forward).parameters
    if not sample or "lead_present" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return sample
    inputs = {key: value for key, value in sample["net_input"].items() if key != "lead_present"}
    return {**sample, "net_input": inputs}


class ECGTask(FairseqTask):
    """Base of the tasks. A subclass says which datasets a split has."""

    source_dictionary = target_dictionary = None  # signals have none
    dataset_type = TrainingDataset

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        complete_input(cfg)
        spec = cfg.leads_to_load
        self.leads = configured_leads(OmegaConf.to_container(spec) if OmegaConf.is_config(spec) else spec)
        self.segment_options = SegmentOptions(
            leads=self.leads,
            pad_leads=cfg.enable_padding_leads,
            scaling=Scaling(cfg.normalize, cfg.input_scale),
            pad=cfg.enable_padding,
            min_sample_size=cfg.min_sample_size,
            max_sample_size=cfg.max_sample_size,
        )
        self.transforms = build_transforms(cfg)
        self.validation: Dict[str, ValidationSet] = {}
        self.validated = ValidationSet()  # the subset of the last validation batch
        self.seeded_update = -1
        self.progress: Optional[Progress] = None

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> "ECGTask":
        """Check the configuration; raises ConfigError for unknown keys, LeadError for unknown leads."""
        show_in_one_line(FairseqSignalsError)
        check_keys(cls, cfg, "task")
        return cls(cfg)

    @cached_property
    def folder(self) -> Path:
        """The folder of the manifests, absolute.

        Raises:
            ManifestError: it is not there.
        """
        folder = given_path(self.cfg.data)
        if not folder.exists():
            raise ManifestError(f"task.data: {missing_path(folder)}")
        return Path(os.path.abspath(folder))

    def manifest(self, name: str) -> Manifest:
        """The manifest `<name>.tsv` of this task's folder."""
        return read_manifest(self.folder / f"{name}.tsv")

    def dataset_of(self, manifest: Manifest, split: str, **options: Any) -> TrainingDataset:
        """A dataset with this task's options; transforms and a new order each epoch in training only."""
        train = split.startswith("train")
        reader = SegmentReader(manifest, self.cfg.sample_rate, self.cfg.resampler)
        self.note_data(reader, train)
        return self.dataset_type(
            reader,
            self.segment_options,
            shuffle=train,
            seed=self.cfg.seed,
            subset=split,
            **options,
        )

    def note_data(self, reader: SegmentReader, train: bool) -> None:
        """Note what the data say of the input where the options do not: resampler, length of segments."""
        if self.cfg.resampler is None and reader.resampler is not None:
            note(self.cfg, resampler=reader.resampler)
        if self.cfg.segment_s is None and train and len(reader):
            lengths, counts = np.unique(reader.manifest.n_samples, return_counts=True)
            if counts.max() > len(reader) / 2:  # else segments are whole records
                note(self.cfg, segment_s=float(lengths[counts.argmax()] / self.cfg.sample_rate))

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model, after checking that it takes as many leads as the data has.

        fairseq does so before it reads the checkpoint that a run continues from, and with `from_checkpoint`
        where there is no run: the model of a checkpoint is wanted.
        """
        check_name(cfg, {**ARCH_MODEL_REGISTRY, **MODEL_DATACLASS_REGISTRY}, "model")
        if not from_checkpoint:
            begin_run(self.cfg)
        self.complete_model(cfg, from_checkpoint)
        in_d = len(LEADS) if self.cfg.enable_padding_leads else len(self.leads)
        if getattr(cfg, "in_d", None) not in (None, in_d):  # without a value, it has its default later
            raise ConfigError(f"model.in_d is {cfg.in_d}, but task.leads_to_load gives {in_d} leads")
        if getattr(cfg, "lead_encoding", None) not in (None, "zeros"):  # it has nothing to say of no lead
            self.segment_options = replace(self.segment_options, keep_a_lead=True)
        return super().build_model(cfg, from_checkpoint)

    def complete_model(self, cfg: Any, from_checkpoint: bool) -> None:
        """Write into a model's configuration what follows from the data; for tasks where something does."""

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the criterion, after checking that its validation logs what the best checkpoint goes by."""
        check_name(cfg, CRITERION_REGISTRY, "criterion")
        criterion = super().build_criterion(cfg, *args, **kwargs)
        self.point_fairseq_to_the_folder()
        if hasattr(criterion, "logged"):  # ours; what stock criterions log is not known before they do
            check_best_metric(self.cfg, self.prepare_validation(criterion))
        return criterion

    def point_fairseq_to_the_folder(self) -> None:
        """Correct `task.data` of a run, where fairseq itself looks for subsets that nobody validates."""
        task = whole_config(self.cfg).get("task")
        if task is not None and own_checkpoint(self.cfg) and os.path.abspath(task.data) != str(self.folder):
            task.data = os.path.relpath(self.folder)

    def prepare_validation(self, criterion: Any) -> List[str]:
        """Find what metrics of whole validation sets need; gives the names of all that validation logs."""
        return list(criterion.logged)

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """fairseq's batches of an epoch; those of the training set tell how many updates there will be."""
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        # the next epoch has its own workers; those that stay are left to the garbage collector, which closes
        # their queues before their loader can tell them to end, and then waits 5 s for each
        batches.persistent_workers = False
        whole = whole_config(self.cfg)
        train = (whole.get("dataset") or {}).get("train_subset")
        if self.progress is None and dataset is self.datasets.get(train):
            total = planned_updates(whole, len(batches))
            self.progress = Progress(total, (whole.get("common") or {}).get("log_format"))
        return batches

    def train_step(
        self,
        sample: Any,
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Forward and backward of one batch.

        fairseq seeds all workers alike before every update: here each gets noise of its own. And it repeats
        a batch on workers that have none left (`ignore_grad`): that one is no part of the joint batch.
        """
        rank = worker_rank()
        if rank > 0 and update_num != self.seeded_update:
            self.seeded_update = update_num
            words = np.random.SeedSequence([self.cfg.seed, update_num, rank]).generate_state(1)
            torch.manual_seed(int(words[0]))
        if self.progress is not None:
            self.progress.begin_update(update_num)
        sample = for_model(sample, model)
        if ignore_grad:
            sample = {**sample, "repeated": True}
        return super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad=ignore_grad, **kwargs
        )

    def begin_valid_epoch(self, epoch: int, model: Any) -> None:
        """Forget the validation outputs of the epoch before."""
        super().begin_valid_epoch(epoch, model)
        self.validation.clear()

    def valid_step(self, sample: Any, model: Any, criterion: Any) -> Any:
        """Evaluate a batch; what metrics of the whole set need is collected and leaves the log."""
        loss, sample_size, log = super().valid_step(for_model(sample, model), model, criterion)
        outputs = {key: value for key, value in log.items() if torch.is_tensor(value) and value.dim()}
        if outputs:
            self.validated = self.validation.setdefault(sample["subset"], ValidationSet())
            self.validated.add(outputs)
            log = {key: value for key, value in log.items() if key not in outputs}
            log["validated"] = len(outputs["id"])
        return loss, sample_size, log

    def reduce_metrics(self, logging_outputs: List[Dict[str, Any]], criterion: Any) -> None:
        """Log what the criterion makes of the workers' outputs, and metrics of the whole validation set."""
        n = sum(log.get("nsignals", 0) for log in logging_outputs)
        metrics.log_scalar("nsignals", float(n), priority=190, round=1)
        criterion.__class__.reduce_metrics(logging_outputs)
        if logging_outputs and "validated" in logging_outputs[0]:
            self.log_validation(self.validated, criterion)

    def log_validation(self, outputs: ValidationSet, criterion: Any) -> None:
        """Log metrics of a whole validation set; for tasks whose criterions give outputs to collect."""
