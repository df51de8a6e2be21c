"""`train_on_arrays`: arrays in, a trained model out; all that lies between them is in one folder."""

from __future__ import annotations

import contextlib
import json
import runpy
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.checkpoints.shipped import model_place
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.files import write_text
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.installed import find_scripts
from fairseq_signals.manifest.labels import LabelTable
from fairseq_signals.manifest.record_labels import format_labels
from fairseq_signals.safety.locks import one_process
from fairseq_signals.safety.rules import read_json
from fairseq_signals.safety.text import csv_lines, tell
from fairseq_signals.store.conversion import BuildOptions
from fairseq_signals.store.of_rows import is_complete, write_store
from fairseq_signals.store.reading import STATE_FILE
from fairseq_signals.training.configuration import compose, fit_schedule
from fairseq_signals.training.given import GivenArrays
from fairseq_signals.training.run import digest
from fairseq_signals.training.running import RUN, best_checkpoint, train
from fairseq_signals.training.targets import (
    CLASSIFICATION,
    PRETRAINING,
    REGRESSION,
    read_patients,
    read_targets,
)

STATE, STORE, MANIFESTS, LABELS = "arrays.json", "store", "manifests", "labels.csv"
_ARRAYS, _TRAINED = "arrays", "trained"
#: The script in manifests/ of a task, where it has another name.
_SCRIPTS = {PRETRAINING: "pretrain"}


def train_on_arrays(
    x: Any,
    fs: float,
    leads: Any = None,
    *,
    out: str | Path,
    labels: Any = None,
    label_names: Sequence[str] | None = None,
    patients: Any = None,
    task: str | None = None,
    size: str = "small",
    model_path: str | Path | None = None,
    preset: str | None = None,
    split: Sequence[float] = (8, 1, 1),
    seed: int = 1,
    options: Mapping[str, Any] | None = None,
) -> ECGModel:
    """Pre-train or fine-tune on arrays, with the tasks and configurations of `fairseq-hydra-train`.

    `out` gets the record store of the arrays, the manifests, the configuration and the checkpoints, all as
    the command lines make and take them. The same call goes on where one was killed, and gives the model
    where it is trained. The same seed and patients give pre-training and classification the same splits, so
    that nobody is tested whom the pre-trained model has seen.

    Args:
        x: recordings in mV: (N, L, T), or N arrays (L, T_i), with `len` and indices; gone through twice.
        fs: their sampling rate, Hz.
        leads: which lead each row is, as `ECGModel.embed` takes it; by default all twelve, in order.
        out: a folder that is new, empty, or of the same call.
        labels: for classification: (N, C) of 0 and 1, an array, a table whose columns name the classes, or a
            mapping from a class to its column; or (N,) names or integers of classes that exclude each other.
            For regression: (N,) or (N, K) numbers.
        label_names: what the classes or numbers are called, in the order of the columns or integers.
        patients: whose each recording is, (N,) texts or integers: nobody is in two splits. None: each
            recording is another person's.
        task: "pretraining", "classification", "identification" or "regression"; by default what the labels
            can only mean.
        size: "tiny", "small" or "paper": of an encoder of random weights, and of the schedule.
        model_path: what fine-tuning begins with: a checkpoint, the `out` of its training, or starter. What it
            expects of its input (rate, normalisation, segments) is what the training gives it.
        preset: public weights by name, such as "ecg-fm", whose input is meant, see `ECGModel.load`.
        split: shares of patients for training, validation and test.
        seed: of the split and the training.
        options: values of the configuration by key, such as {"optimization.max_update": 200,
            "task.segment_s": 10}.

    Returns:
        The best checkpoint by validation; the last one of a training without validation.

    Raises:
        FairseqSignalsError: before anything is written: arrays that are no recordings, labels that do not
            fit, options that cannot be, or an `out` with something else. Later: what the training ended with.
    """
    targets = read_targets(labels, label_names, patients is not None, task, len(x))
    given = GivenArrays(x, fs, leads, targets, read_patients(patients, len(x)))
    start = None if model_path is None else _checkpoint(Path(model_path))
    config, form = compose(targets, size, start, preset, seed, options or {})
    in_pairs = bool(config.task.get("segment_pairs") or config.task.get("item"))
    plan = {
        "task": targets.task,
        "labels": targets.names,
        "size": size,
        "model_path": None if start is None else str(start),
        "sha256 of model_path": None if start is None else digest(start),
        "preset": preset,
        "split": _checked_shares(split),
        "seed": seed,
        "options": dict(options or {}),
        _ARRAYS: given.check(form.segment_s, 1 + in_pairs),
    }
    plan = json.loads(json.dumps(plan, default=str))  # as the file has it
    out = Path(out).absolute()
    _require_same(out, plan)
    with one_process(out, ConfigError(f"{out}: another process trains there. Wait for it, or end it.")):
        if not _require_same(out, plan).get(_TRAINED):
            if patients is None:
                told = "patients are not given: each recording counts as another person's"
                warnings.warn(told, stacklevel=2)
            _train(out, plan, given, config, form)
    return ECGModel.load(best_checkpoint(out / RUN))


def _train(
    out: Path, plan: dict[str, Any], given: GivenArrays, config: DictConfig, form: InputFormat
) -> None:
    """Do what of the plan is not done yet."""
    labels = f" of {', '.join(plan['labels'][:20])}" if plan["labels"] else ""
    tell(f"{out}: {plan['task']}{labels}; {len(given.x):,} recordings")
    if _noted(out) != plan:
        (out / STORE / STATE_FILE).unlink(missing_ok=True)
        _write_state(out, plan)
    stored = BuildOptions(form.fs, resampler=form.resampler)
    if not is_complete(out / STORE):
        write_store(given.rows(stored), out / STORE, stored)
    _write_manifests(out, given, plan["split"], form.segment_s, plan["seed"])
    fit_schedule(config, out / MANIFESTS, plan["options"])
    train(config, out, out / MANIFESTS)
    _write_state(out, {**plan, _TRAINED: True})


def _checkpoint(path: Path) -> Path:
    """The checkpoint at a path, or the best one of a folder that `train_on_arrays` wrote."""
    found = best_checkpoint(path / RUN) if (path / STATE).is_file() else model_place(path)
    if not found.exists():
        raise CheckpointError(f"model_path: there is no {found}")
    return found.absolute()


def _checked_shares(split: Sequence[float]) -> list[float]:
    """The shares of training, validation and test, of the sum 1."""
    try:
        train, valid, test = map(float, split)
    except (TypeError, ValueError):
        train = valid = test = -1.0
    if not (train > 0 and valid > 0 and test >= 0 and train + valid + test < float("inf")):
        raise ConfigError(
            f"split must be three shares, of training, validation and test, such as (8, 1, 1), of which only "
            f"the last may be 0, but is {split!r}"
        )
    return [share / (train + valid + test) for share in (train, valid, test)]


def _noted(out: Path) -> dict[str, Any]:
    """What the folder says of the call that was begun there; nothing where there was none."""
    path = out / STATE
    state = read_json(path, ConfigError) if path.is_file() else {}
    return state if isinstance(state, dict) else {}


def _require_same(out: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What is noted in the folder.

    Raises:
        ConfigError: it has something else, or another call has trained there.
    """
    noted = _noted(out)
    if not noted and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not an empty folder, and no training on arrays was begun there")
    changed = [
        "the arrays, labels or patients are others"
        if key == _ARRAYS
        else f"{key} was {noted.get(key)} and is now {value}"
        for key, value in plan.items()
        if noted.get(key) != value
    ]
    if changed and any((out / RUN).glob("*.pt")):
        raise ConfigError(
            f"{out}: the training there was begun by another call ({'; '.join(changed)}). Choose another out."
        )
    return noted


def _write_state(out: Path, state: Mapping[str, Any]) -> None:
    write_text(out / STATE, [json.dumps(state, indent=1) + "\n"])


def _write_manifests(
    out: Path, given: GivenArrays, shares: Sequence[float], segment_s: float, seed: int
) -> None:
    """Make the manifests of the store, with the script for that."""
    targets = given.targets
    _, valid, test = map(repr, shares)
    arguments = [str(out / STORE), "--dest", str(out / MANIFESTS), "--seed", str(seed)]
    arguments += ["--segment-seconds", repr(segment_s)]
    if targets.task == CLASSIFICATION:
        table = LabelTable(targets.names, targets.names, tuple((name,) for name in targets.names))
        write_text(out / LABELS, [format_labels(table)])
        arguments += ["--labels", str(out / LABELS), "--split", ":".join(map(repr, shares))]
        arguments += ["--one-class"] * targets.are_exclusive
    elif targets.task == REGRESSION:
        rows = ((given.name(i), *targets.of(i)) for i in range(len(given.x)))
        write_text(out / LABELS, csv_lines([("record_id", *targets.names), *rows]))
        arguments += ["--values", str(out / LABELS), "--split", ":".join(map(repr, shares))]
    else:
        arguments += ["--valid-fraction", valid, "--test-fraction", test]
    if targets.task == PRETRAINING:
        arguments.append("--no-exclusions")
    script = runpy.run_path(str(find_scripts("manifest")[_SCRIPTS.get(targets.task, targets.task)]))
    with contextlib.redirect_stdout(sys.stderr):
        script["build"](script["build_parser"]().parse_args(arguments))
