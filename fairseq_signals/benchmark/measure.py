"""CPU seconds of an update of each method, measured once: they go into the settings."""

from __future__ import annotations

import dataclasses
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.benchmark.settings import PRETRAIN, Settings
from fairseq_signals.benchmark.trainings import pretraining
from fairseq_signals.errors import TrainingError
from fairseq_signals.training.run import fork

SHORT, LONG = 10, 50
SEED = 1


def measure(settings: Settings, names: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of an update, by method, a figure for each round.

    Of each method a shorter and a longer training: the user and system time that the longer one takes more,
    divided by the updates that it has more. The methods take turns, so that what else a machine does falls on
    all of them; the least of the rounds counts.

    Raises:
        TrainingError: one failed.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            more = _cpu_seconds(settings, name, LONG) - _cpu_seconds(settings, name, SHORT)
            found[name].append(more / (LONG - SHORT))
            print(f"{name}: {found[name][-1]:.3f} CPU s an update", file=sys.stderr, flush=True)
    return found


def _cpu_seconds(settings: Settings, name: str, updates: int) -> float:
    """User and system time of a training; what a method begins with costs it nothing, and is left out."""
    with tempfile.TemporaryDirectory() as folder:
        run = pretraining(settings, name, SEED, updates)
        run = dataclasses.replace(run, folder=Path(folder) / PRETRAIN, model=None)
        log, before = Path(settings.out) / "logs" / "measure.log", _used()
        if fork(run.command(), log):
            raise TrainingError(f"{name} cannot be trained; see {log}")
        return _used() - before


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
