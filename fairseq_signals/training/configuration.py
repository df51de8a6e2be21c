"""The configuration of a training: one of the YAML files that ship, with the caller's options."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fairseq_signals.checkpoints.input_format import (
    INPUT_RULES,
    TASK_KEYS,
    TASK_RULES,
    InputFormat,
    input_format,
    preset_of,
)
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.checkpoints.presets import NO_PRESET, find_preset
from fairseq_signals.errors import ConfigError, did_you_mean
from fairseq_signals.installed import find_folder
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.modules.encoder_config import ARCHITECTURE
from fairseq_signals.safety.rules import check
from fairseq_signals.training.targets import CLASSIFICATION, PRETRAINING, REGRESSION, Targets

#: Of each size, below `examples/`: pre-training, and the folder of what is fine-tuned.
_FILES = {
    "tiny": ("quickstart/config/pretrain.yaml", "quickstart/config"),
    "small": ("w2v_cmsc/config/pretraining/w2v_cmsc_rlm_small.yaml", "w2v_cmsc/config/finetuning"),
    "paper": ("w2v_cmsc/config/pretraining/w2v_cmsc_rlm.yaml", "w2v_cmsc/config/finetuning"),
}
SIZES = tuple(_FILES)
_BASES = {REGRESSION: CLASSIFICATION}
_HEADS = "w2v_cmsc/config/finetuning"  # where other heads than those of both folders are configured
#: What a training takes over of the input of the checkpoint that it begins with.
_INPUT = {name: TASK_KEYS.get(name, name) for name in INPUT_RULES if not name.startswith("aggregate")}
#: What a caller's options cannot change.
_OURS = (
    "task._name",
    "task.data",
    "checkpoint.save_dir",
    "common.user_dir",
    "model.model_path",
    "task.preset",
    "hydra",
)


def compose(
    targets: Targets,
    size: str,
    start: Path | None,
    preset: str | None,
    seed: int,
    options: Mapping[str, Any],
) -> tuple[DictConfig, InputFormat]:
    """The configuration of a training but for the places of its files, and the input that it says.

    Args:
        targets: what is to be learnt.
        size: one of `SIZES`: of the encoder where it begins from random weights, and of the schedule.
        start: pre-trained checkpoint that fine-tuning begins with. Its input is that of the training.
        preset: public weights by name, of whose input the training is.
        seed: of the training.
        options: values by key, such as {"optimization.max_update": 200}.

    Raises:
        ConfigError: there is no such size, preset or section, or an option is not the caller's to say.
        CheckpointError: `start` cannot be read.
    """
    if size not in SIZES:
        raise ConfigError(f"size must be one of {', '.join(SIZES)}, but is {size!r}")
    examples, (pretraining, folder) = find_folder("examples"), _FILES[size]
    config: Any = OmegaConf.load(examples / pretraining)
    if targets.task != PRETRAINING:
        shape = {key: value for key, value in config.model.items() if key in ARCHITECTURE}
        config = OmegaConf.load(examples / folder / f"{_BASES.get(targets.task, targets.task)}.yaml")
        config.model.model_path = None if start is None else str(start)
        if start is None:  # as in examples/scratch: a front end of random weights is trained as well
            config.model.update({**shape, "feature_grad_mult": 1.0})
    elif start is not None:
        raise ConfigError(
            "pre-training begins from random weights: leave out model_path, or give fairseq's own option "
            "'checkpoint.finetune_from_model'"
        )
    if targets.are_exclusive or targets.task == REGRESSION:
        _take_head(
            config, examples / _HEADS / ("multiclass.yaml" if targets.are_exclusive else "regression.yaml")
        )
    form = _expected(start, preset)
    config.task.update(preset=preset, **{key: getattr(form, name) for name, key in _INPUT.items()})
    config.common.update(seed=seed, cpu=not torch.cuda.is_available())
    config.dataset.num_workers = min(config.dataset.num_workers, os.cpu_count() or 1)
    for key, value in options.items():
        _set(config, key, value)
    check({key: config.task[key] for key in _INPUT.values()}, TASK_RULES, "task.", ConfigError)
    return config, form.changed({name: config.task[key] for name, key in _INPUT.items()})


def _take_head(config: DictConfig, path: Path) -> None:
    """Give a configuration of classification the task, criterion and best checkpoint of another."""
    head: Any = OmegaConf.load(path)
    config.criterion, config.task._name = head.criterion, head.task._name
    for key in ("best_checkpoint_metric", "maximize_best_checkpoint_metric"):
        config.checkpoint[key] = head.checkpoint[key]


def _expected(start: Path | None, preset: str | None) -> InputFormat:
    """The input that a pre-trained checkpoint, or a preset, expects."""
    if start is not None:
        checkpoint = load_checkpoint(start)
        return input_format(checkpoint, preset_of(checkpoint, preset))
    return InputFormat().changed({} if preset in (None, NO_PRESET) else find_preset(preset).input)


def fit_schedule(config: DictConfig, manifests: Path, options: Mapping[str, Any]) -> None:
    """Let a schedule that spreads over all updates end with the last epoch, unless the options say when."""
    if config.lr_scheduler._name == "tri_stage" and "optimization.max_update" not in options:
        n_segments = len(read_manifest(manifests / "train.tsv", check_files=False))
        n_batches = math.ceil(n_segments / config.dataset.batch_size)
        config.optimization.max_update = n_batches * config.optimization.max_epoch


def _set(config: DictConfig, key: str, value: Any) -> None:
    section = key.partition(".")[0]
    if key in _OURS or section in _OURS:
        raise ConfigError(f"options: {key} is set by train_on_arrays itself; leave it out")
    if section == key or section not in config:
        guess = did_you_mean(section, list(config))
        raise ConfigError(f"options: {key!r} is not SECTION.KEY with one of {', '.join(config)}{guess}")
    try:
        OmegaConf.update(config, key, value, merge=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"options: {key}={value!r} cannot be: {str(error).splitlines()[0]}") from error
