"""One training: its settings, its folder, and the model that it ends with."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import math
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import fairseq_signals.errors as errors
from fairseq_signals.errors import ConfigError, TrainingError
from fairseq_signals.files import sha256_of, whole_file, write_text
from fairseq_signals.safety.rules import read_json

FINAL = "final.pt"
SETTINGS = "settings.json"
#: Settings that may differ when a training goes on elsewhere.
OF_THE_MACHINE = ("common.cpu", "dataset.num_workers")
#: What a training loads sooner or later; takes seconds.
HEAVY = ("fairseq_cli.hydra_train", "torch._dynamo", "fairseq_signals.tasks", "sklearn.metrics")


@dataclass
class Run:
    """One training.

    Args:
        folder: of its checkpoints; the model that is kept is `final.pt` in it.
        config: the YAML file.
        data: folder of manifests.
        overrides: `group.key=value`; of two for one key the later counts.
        model: the pre-trained model to begin with.
        checkpoint: which is kept: "best" on validation, or the "last".
    """

    folder: Path
    config: Path
    data: Path
    overrides: Sequence[str] = field(default_factory=list)
    model: Path | None = None
    checkpoint: str = "best"

    @property
    def final(self) -> Path:
        return self.folder / FINAL

    def settings(self) -> dict[str, Any]:
        """The configuration with its overrides, as nested plain values."""
        return with_overrides(yaml.safe_load(self.config.read_text(encoding="utf-8")), self.overrides)

    def identity(self) -> dict[str, Any]:
        """What makes a run another run: its settings, its training data and what it begins with."""
        return {
            "settings": self.settings(),
            "data": sha256_of(self.data / "train.tsv"),
            "model": digest(self.model) if self.model else None,
        }

    def changes(self) -> list[str]:
        """How it is not the run that its folder, if there is anything in it, was made for; the machine may
        be another."""
        path = self.folder / SETTINGS
        if not self.folder.is_dir() or not any(self.folder.iterdir()):
            return []
        if not path.is_file():
            return [f"there is no {SETTINGS} in it"]
        noted, asked = read_json(path, ConfigError), json.loads(json.dumps(self.identity()))
        before, now = _flat(noted), _flat(asked)
        return [
            f"{key} was {before.get(key)} and is now {now.get(key)}"
            for key in {**before, **now}
            if before.get(key) != now.get(key) and key not in OF_THE_MACHINE
        ]

    def n_updates(self, epochs: float) -> int:
        """Updates of so many epochs, each of all segments of the training manifest."""
        settings = self.settings()
        with (self.data / "train.tsv").open("rb") as file:
            n_segments = sum(1 for _ in file) - 1  # the first line is the root
        per_update = settings["dataset"]["batch_size"] * settings["optimization"].get("update_freq", [1])[0]
        return math.ceil(epochs * math.ceil(n_segments / per_update))

    def command(self) -> list[str]:
        """The command that trains, with absolute paths, as fairseq changes the working directory."""
        paths = {
            "common.user_dir": Path(errors.__file__).parent,
            "task.data": self.data.resolve(),
            "checkpoint.save_dir": self.folder.resolve(),
            "hydra.run.dir": self.folder.resolve(),
            **({"model.model_path": self.model.resolve()} if self.model else {}),
        }
        values = {key: hydra_value(path) for key, path in paths.items()}
        for override in self.overrides:
            key, _, value = override.partition("=")
            values[key] = value
        return [
            *("fairseq-hydra-train", "--config-dir", str(self.config.parent)),
            *("--config-name", self.config.stem),
            *(f"++{key}={value}" for key, value in values.items()),
        ]


def with_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings, changed by `group.key=value`."""
    for override in overrides:
        key, _, value = override.partition("=")
        group, _, name = key.partition(".")
        settings.setdefault(group, {})[name] = yaml.safe_load(value)
    return settings


def hydra_value(path: Path) -> str:
    """A path as the value of an override; quoted where it has characters that mean something there."""
    text = str(path)
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("'", "\\'") + "'"


def digest(model: Path) -> str:
    """A digest of a checkpoint's content, or of a saved model's weights."""
    from fairseq_signals.checkpoints.saved_model import WEIGHTS

    return sha256_of(model / WEIGHTS if model.is_dir() else model)


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by keys such as "model.encoder_layers"."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = before + key
        inner = "" if name == "settings" else f"{name}."
        found.update(_flat(value, inner) if isinstance(value, dict) else {name: value})
    return found


def train(runs: Sequence[Run], keep_checkpoints: bool = False, put_aside: bool = True) -> None:
    """Finish the runs, one after the other: `final.pt` is there afterwards.

    Several are trained in forks of this process, which loads fairseq once for all.

    Args:
        keep_checkpoints: of the trainings, beside the final models.
        put_aside: what is in the folder of a run and of other settings; else that is an error.

    Raises:
        ConfigError: a folder is of other settings.
        TrainingError: a training failed, as its output has told, or left no checkpoint.
    """
    for run in runs:
        with only_one(run.folder) as lock:
            prepare(run, put_aside)
            if run.final.is_file():
                print(f"{run.folder}: finished before", flush=True)
                continue
            command = run.command()
            print(f"$ {shlex.join(command)}", flush=True)
            exit_code = fork(command) if len(runs) > 1 else execute(command, lock)
            if exit_code:
                raise TrainingError(f"{run.folder}: the training ended with exit code {exit_code}")
            keep(run, keep_checkpoints)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[int]:
    """Wait until nobody else trains in this folder.

    Yields:
        the lock's file descriptor: a process that inherits it has the lock too, and may outlive this one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: waiting for another process that trains there", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def prepare(run: Run, put_aside: bool = True) -> None:
    """Make the folder of a run; one of other settings is put aside first, or refused."""
    changes = run.changes()
    if changes and not put_aside:
        raise ConfigError(
            f"{run.folder} is of another training: {'; '.join(changes)}. Choose another folder."
        )
    if changes:
        aside = next(p for i in range(1, 10**6) if not (p := Path(f"{run.folder}.old{i}")).exists())
        run.folder.rename(aside)
        print(f"{run.folder} was of other settings; it is now {aside}", flush=True)
    if not (run.folder / SETTINGS).is_file():
        write_text(run.folder / SETTINGS, [json.dumps(run.identity(), indent=1, sort_keys=True)])


def execute(command: Sequence[str], lock: int) -> int:
    """Run the command in a process of its own, which holds the lock too."""
    beside = Path(sys.executable).with_name(command[0])
    program = str(beside) if beside.is_file() else shutil.which(command[0]) or command[0]
    return subprocess.run([program, *command[1:]], pass_fds=[lock]).returncode


def fork(command: Sequence[str], log: Path | None = None) -> int:
    """Run the command in a fork of this process, which loads fairseq once for all.

    Args:
        log: file that takes what it prints.
    """
    for module in HEAVY:
        importlib.import_module(module)
    process = multiprocessing.get_context("fork").Process(target=_train_here, args=(command, log))
    process.start()
    process.join()
    return process.exitcode or 0


def _train_here(command: Sequence[str], log: Path | None) -> None:
    from fairseq_cli.hydra_train import cli_main

    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, sys.stdout.fileno())
        os.dup2(descriptor, sys.stderr.fileno())
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = list(command)
    cli_main()


def keep(run: Run, keep_checkpoints: bool) -> None:
    """Write `final.pt`: the checkpoint that counts, without the optimizer's state; remove the others."""
    import torch

    names = {"best": ("checkpoint_best.pt", "checkpoint_last.pt"), "last": ("checkpoint_last.pt",)}
    found = [run.folder / name for name in names[run.checkpoint] if (run.folder / name).is_file()]
    if not found:
        raise TrainingError(f"{run.folder}: the training has ended, but there is no checkpoint")
    content = torch.load(found[0], map_location="cpu", weights_only=True)
    content["last_optimizer_state"] = None
    with whole_file(run.final) as partial:
        torch.save(content, partial)
    for path in run.folder.glob("checkpoint*.pt") if not keep_checkpoints else ():
        path.unlink()


def publish(run: Run, out: Path) -> None:
    """Put the final model where a workflow expects it; it stays in the run's folder too."""
    with whole_file(out) as partial:
        try:
            os.link(run.final, partial)
        except OSError:  # a file system without links
            shutil.copyfile(run.final, partial)
