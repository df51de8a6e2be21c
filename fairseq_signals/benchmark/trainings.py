"""Pre-training of a method, and fine-tuning of a row with the test of what comes out.

What was stopped goes on from its last checkpoint; a training of other settings starts anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from fairseq_signals.benchmark.corpora import run as run_command
from fairseq_signals.benchmark.entries import Task
from fairseq_signals.benchmark.settings import PRETRAIN, Settings
from fairseq_signals.training.run import Run, publish, train

FINETUNE = "finetune"
FINETUNING_UPDATES = 350  # where the settings say none
VALIDATIONS = 5  # of a fine-tuning


def pretraining(settings: Settings, name: str, seed: int, updates: int | None = None) -> Run:
    """The pre-training of a method.

    Args:
        updates: None: as many as the budget pays.
    """
    method, out = settings.methods[name], Path(settings.out)
    updates = settings.updates(method) if updates is None else updates
    config = Path(method.config)
    overrides = [*_common(settings, seed), f"optimization.max_update={updates}"]
    if "total_num_update" in _content(config).get("lr_scheduler", {}):
        overrides.append(f"lr_scheduler.total_num_update={updates}")
    given = (*settings.pretrain.overrides, *method.overrides)
    return Run(
        out / "runs" / PRETRAIN / name / f"seed{seed}",
        config,
        settings.manifests(PRETRAIN),
        [*overrides, *(override.replace("{updates}", str(updates)) for override in given)],
        settings.pretrained(method.start, seed) if method.start else None,
        checkpoint="last",
    )


def finetuning(settings: Settings, name: str, seed: int, task: Task, fraction: int) -> Run:
    """The fine-tuning of a row for a task, with a part of the labels."""
    method, config = settings.methods[name], Path(settings.finetune.config)
    updates = settings.finetune.updates.get(fraction, FINETUNING_UPDATES)
    interval = max(1, updates // VALIDATIONS)
    overrides = [*_common(settings, seed), f"optimization.max_update={updates}"]
    overrides += [f"lr_scheduler.total_num_update={updates}", f"lr_scheduler.warmup_updates={interval}"]
    overrides += [f"dataset.validate_interval_updates={interval}"]
    overrides += [f"checkpoint.save_interval_updates={interval}"]
    overrides += ["model.no_pretrained_weights=true"] if method.random_of else []
    return Run(
        Path(settings.out) / "runs" / FINETUNE / name / f"seed{seed}" / f"{task.name}-{fraction}",
        config,
        settings.manifests(task.name, seed, fraction),
        [*overrides, *settings.finetune.overrides, *method.finetune],
        settings.pretrained(name, seed),
    )


def _common(settings: Settings, seed: int) -> list[str]:
    return [f"common.seed={seed}", f"task.sample_rate={settings.fs}"]


def _content(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def pretrain(settings: Settings, name: str, seed: int) -> None:
    """Pre-train a method."""
    run = pretraining(settings, name, seed)
    train([run])
    publish(run, settings.pretrained(name, seed))


def finetune(settings: Settings, name: str, seed: int) -> None:
    """Fine-tune a row for all tasks and fractions, and test what comes out under every lead set."""
    jobs = list(settings.finetuned(name))
    runs = [finetuning(settings, name, seed, task, fraction) for task, _, fraction in jobs]
    train(runs)
    for run, (task, how, fraction) in zip(runs, jobs):
        result = settings.result(name, seed, task.name, how, fraction)
        result.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "fairseq_signals.commands.main", "evaluate", str(run.final)]
        command += ["--manifest", str(settings.manifests(task.name)), "--split", settings.split]
        command += ["--leads", ",".join(task.lead_sets), "--intervals", "0", "--save", str(result)]
        run_command(command)
