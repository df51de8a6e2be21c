"""The training that manifests ask for: a configuration, and what machine, corpus and start make of it."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError, did_you_mean
from fairseq_signals.manifest.folder import ECG_TEXT, IDENTIFICATION, PRETRAIN, ManifestSet, read_set
from fairseq_signals.training.config_files import find_config
from fairseq_signals.training.run import SETTINGS, Run

FINETUNE = "finetune"
#: A recording is seen so often at least, and at most, whatever updates the configuration asks for.
EPOCHS = {PRETRAIN: (1, 100), FINETUNE: (5, 50)}
#: A batch is at most so much of the training set.
LARGEST_SHARE = 4
_OVERRIDE = re.compile(r"(\w+)\.[\w.]+=.*", re.DOTALL)
#: Sections of fairseq's configuration that files need not have.
_GROUPS = ("common", "checkpoint", "dataset", "distributed_training", "optimization", "ema", "bmuf", "hydra")
#: What the command line says in other words.
_OURS = {
    "task.data": "DATA",
    "model.model_path": "--start",
    "checkpoint.save_dir": "--out",
    "hydra.run.dir": "--out",
    "common.seed": "--seed",
}


@dataclass
class Plan:
    """What `plan` decides.

    Attributes:
        run: the training.
        task: "pretrain", "classification", "identification" or "regression".
        notes: what was decided, in sentences.
    """

    run: Run
    task: str
    notes: list[str] = field(default_factory=list)


def plan(
    step: str,
    data: Path,
    out: Path,
    config: str | None = None,
    start: str | None = None,
    seed: int = 1,
    overrides: Sequence[str] = (),
) -> Plan:
    """The training of a step on manifests.

    Args:
        step: "pretrain" or "finetune".
        data: folder of manifests. Pre-training takes those of any task, of which it sees `train.tsv`.
        out: folder of the training.
        config: a YAML file, or the name of one that ships; by default the small one of the task. Manifests of
            texts have none, as they serve several methods.
        start: trained model to begin with, see `find_start`.
        overrides: `group.key=value`, which go before what is decided here.

    Raises:
        ManifestError: there are no manifests, or none of a task to fine-tune for.
        CheckpointError: there is no such model to begin with.
        ConfigError: no such configuration or section, or the records have another sampling rate; or manifests
            of texts without a configuration.
    """
    manifests = read_set(data)
    if step == FINETUNE and manifests.kind in (PRETRAIN, ECG_TEXT):
        raise ManifestError(
            f"{data} holds {manifests.kind} manifests, which are of pre-training; name those of a task, of "
            "`fairseq-signals manifest classification`, `identification` or `regression`"
        )
    if step == PRETRAIN and manifests.kind == ECG_TEXT and config is None:
        raise ConfigError(
            f"{data} holds {ECG_TEXT} manifests; say what is to be trained: `--config clip "
            "task.sample_rate=100` for ECGs and texts in one space, at 100 Hz, or `--config pretrain` for an "
            "encoder of ECGs alone, without the texts"
        )
    if not len(manifests.manifests.get("train", ())):
        faults = "".join(f" ({fault})" for fault in manifests.faults)
        raise ManifestError(f"{data / 'train.tsv'}: no segments to train on{faults}")
    task = PRETRAIN if step == PRETRAIN else manifests.kind
    given = _checked(overrides)
    run = Run(out.absolute(), find_config(config or task, step), data.absolute(), list(overrides))
    decided = [f"common.seed={seed}"]
    if start is not None:
        run.model = find_start(start)
        decided += _of_start(run, step)
    decided += _of_machine(run)
    run.overrides = [*decided, *overrides]
    _require_rate(run, manifests)
    fitted, told = _fitted(run, step, len(manifests.manifests["train"]), given)
    notes = [told]
    if not run.settings()["dataset"].get("disable_validation") and not _has_validation(run, manifests):
        notes.append("nothing to validate on: the last checkpoint is kept, not the best")
        decided.append("dataset.disable_validation=true")
    run.overrides = [*decided, *(f"{key}={value}" for key, value in fitted.items()), *overrides]
    return Plan(run, task, notes)


def find_start(start: str) -> Path:
    """The model that a text names: a checkpoint, a saved folder, the one of a training's folder, or starter.

    Raises:
        CheckpointError: it is not there.
    """
    from fairseq_signals.checkpoints.shipped import model_place, shipped_names

    path = model_place(start)
    if not path.exists():
        shipped = ", ".join(shipped_names()) or "none"
        raise CheckpointError(f"--start: there is no {path}. Weights of this installation: {shipped}")
    if (path / SETTINGS).is_file():
        raise CheckpointError(f"--start: the training in {path} has no model yet; give its command again")
    return path.absolute()


def _checked(overrides: Sequence[str]) -> set[str]:
    """The keys of overrides, whose sections exist; the keys themselves are checked by fairseq."""
    keys = set()
    for override in overrides:
        if not _OVERRIDE.fullmatch(override):
            raise ConfigError(f"{override!r} is not GROUP.KEY=VALUE, such as optimization.lr=[0.001]")
        key = override.partition("=")[0]
        group = key.partition(".")[0]
        known = (*_GROUPS, "task", "model", "criterion", "optimizer", "lr_scheduler")
        if group not in known:
            raise ConfigError(f"{override}: there is no section {group}{did_you_mean(group, known)}")
        if key in _OURS:
            raise ConfigError(f"{override}: say it with {_OURS[key]}")
        keys.add(key)
    return keys


def _of_start(run: Run, step: str) -> list[str]:
    """Overrides by which the training fits the model that it begins with: its input, its encoder's shape."""
    from fairseq_signals.checkpoints.input_format import (
        INPUT_RULES,
        TASK_KEYS,
        InputFormat,
        input_format,
        preset_of,
    )
    from fairseq_signals.checkpoints.loading import load_checkpoint
    from fairseq_signals.modules.encoder_config import ARCHITECTURE, EncoderConfig

    assert run.model is not None
    settings, checkpoint = run.settings(), load_checkpoint(run.model)
    form, default = (
        input_format(checkpoint, preset_of(checkpoint, settings["task"].get("preset"))),
        InputFormat(),
    )
    expected = {
        f"task.{TASK_KEYS.get(name, name)}": (getattr(form, name), getattr(default, name))
        for name in INPUT_RULES
        if not name.startswith(("aggregate", "segment", "resampler"))
    }
    if step == PRETRAIN:
        plain = EncoderConfig()
        expected.update(
            {
                f"model.{name}": (getattr(checkpoint.config, name), getattr(plain, name))
                for name in ARCHITECTURE
            }
        )
    found = []
    for key, (wanted, usual) in expected.items():
        group, _, name = key.partition(".")
        if settings[group].get(name, usual) != wanted:
            found.append(f"{key}={json.dumps(wanted)}")
    return found


def _of_machine(run: Run) -> list[str]:
    """Overrides for this machine."""
    import torch

    n_workers, n_cpus = run.settings()["dataset"].get("num_workers", 1), os.cpu_count() or 1
    workers = [f"dataset.num_workers={n_cpus}"] if n_workers > n_cpus else []
    return [*([] if torch.cuda.is_available() else ["common.cpu=true"]), *workers]


def _require_rate(run: Run, manifests: ManifestSet) -> None:
    """Raise ConfigError where the records have another sampling rate than the model takes."""
    from fairseq_signals.ecg.record import DEFAULT_FS

    has, wanted = manifests.info.get("fs"), run.settings()["task"].get("sample_rate", DEFAULT_FS)
    if has is None or has == wanted:
        return
    whose = f"the model {run.model}" if run.model else f"configuration {run.config.name}"
    raise ConfigError(
        f"{manifests.folder}: the records have {has:g} Hz, but {whose} is for {wanted:g} Hz. Make the store "
        f"again with `--fs {wanted:g}`, and the manifests"
        + (
            ""
            if run.model
            else f"; or give task.sample_rate={has:g}, whereby tokens become shorter or longer"
        )
    )


def _fitted(run: Run, step: str, n_segments: int, given: set[str]) -> tuple[dict[str, int], str]:
    """Values that fit batch and schedule to a corpus of so many segments, and what they say."""
    settings = run.settings()
    task, schedule = settings["task"], settings["lr_scheduler"]
    in_pairs = bool(task.get("segment_pairs") or task.get("item"))
    n_items, batch = max(n_segments >> in_pairs, 1), settings["dataset"].get("batch_size")
    if not batch:  # by dataset.max_tokens
        return {}, f"{n_segments:,} segments"
    found: dict[str, int] = {}
    while batch > 2 and batch * LARGEST_SHARE > n_items and "dataset.batch_size" not in given:
        batch = found["dataset.batch_size"] = batch // 2
    optimization = settings["optimization"]
    per_epoch = math.ceil(n_items / (batch * optimization.get("update_freq", [1])[0]))
    is_spread = schedule.get("_name") == "tri_stage"
    updates = _n_updates(optimization, is_spread, EPOCHS[step], per_epoch, given)
    told = f"about {n_items:,} {'pairs of ' * in_pairs}segments, {batch} a batch"
    if updates is None:
        return found, told
    values = {
        "optimization.max_update": updates,
        "lr_scheduler.total_num_update": updates,
        "lr_scheduler.warmup_updates": min(schedule.get("warmup_updates", 0), updates // 5),
        "model.ema_updates": updates,
    }
    for key, value in values.items():
        group, _, name = key.partition(".")
        before = settings[group].get(name)
        if key not in given and (before or group == "optimization") and before != value:
            found[key] = value
    return found, f"{told}, {updates:,} updates: each is seen {updates / per_epoch:.3g} times"


def _n_updates(
    optimization: Mapping[str, Any],
    is_spread: bool,
    epochs: tuple[int, int],
    per_epoch: int,
    given: set[str],
) -> int | None:
    """Updates of a training; None where it is to end otherwise.

    Args:
        is_spread: the schedule spreads over all updates, whatever their number in a file is for.
    """
    asked, max_epoch = optimization.get("max_update"), optimization.get("max_epoch")
    if "optimization.max_update" in given:
        return asked
    if max_epoch:
        ends_first = not is_spread and asked and "optimization.max_epoch" not in given
        return min(asked, per_epoch * max_epoch) if ends_first else per_epoch * max_epoch
    least, most = epochs
    return asked and max(least * per_epoch, min(asked, most * per_epoch))


def _has_validation(run: Run, manifests: ManifestSet) -> bool:
    """Whether there are segments to choose the best checkpoint by."""
    name = "valid_probe" if run.settings()["task"]["_name"] == f"ecg_{IDENTIFICATION}" else "valid"
    return len(manifests.manifests.get(name, ())) > 0
