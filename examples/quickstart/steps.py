"""Runs the commands that a user would type, shows each of them, and says how long the rest will take."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = Path(__file__).resolve().parent / "config"
LEAD_SETS = "12,6,3,2,1"
RANDOM_INIT = "random_init"
CORES = 2
_PROGRESS = re.compile(r"\[(train_inner|valid|train)\]\[INFO\] - (.*)")
_SHOWN = re.compile(r"epoch \d+|\b(?:num_updates|loss|accuracy|cmsc_loss|auroc|cinc_score)\b[= ]+[-\d.]+")
_UPDATES = re.compile(r"num_updates[= ]+(\d+)")


@dataclass(frozen=True)
class Step:
    """A command.

    Args:
        title: what it does.
        command: program and arguments.
        seconds: about how long it takes by itself; how much of the whole that is, is what counts.
        updates: of a training: how many it makes.
        after: a step of another chain that must have ended before.
        quiet: whether its output is in the log alone.
    """

    title: str
    command: Sequence[str]
    seconds: float = 3
    updates: int = 0
    after: Step | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Task:
    """What a training is for.

    Args:
        data: manifests.
        config: the YAML file of its training.
        overrides: by which that is changed.
        seconds, updates: of a training, about.
    """

    data: Path
    config: Path
    overrides: Sequence[str]
    seconds: float
    updates: int


class Start(NamedTuple):
    """What fine-tuning begins with.

    Args:
        overrides: by which it is told.
        pretraining: that makes it; None: nothing does.
    """

    overrides: Sequence[str]
    pretraining: Step | None = None


class Steps:
    """Commands with their output in one log file each, and progress on the terminal.

    Args:
        folder: for the logs and all results; what is there is removed.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._stages: list[Sequence[Sequence[Step]]] = []
        self._weight: dict[Step, float] = {}  #: seconds, fewer where steps run side by side
        self._finished: dict[Step, float] = {}  #: the part of a step that is done
        self._ended: dict[Step, threading.Event] = {}
        self._lock = threading.Lock()
        self._failed = threading.Event()
        if folder.is_dir():
            shutil.rmtree(folder)
        (folder / "logs").mkdir(parents=True)

    def add(self, title: str, *command: str, seconds: float = 3) -> None:
        """A step that follows on all before it."""
        self.add_chains([Step(title, command, seconds)])

    def add_chains(self, *chains: Sequence[Step]) -> None:
        """Chains of steps that follow on all before them; as many run at a time as there are cores for."""
        self._stages.append(chains)
        for chain in chains:
            self._weight.update({step: step.seconds / min(len(chains), CORES) for step in chain})
            self._ended.update({step: threading.Event() for step in chain})

    def run(self) -> None:
        """Run all steps; the first that fails ends the program with its last lines."""
        self._began = time.monotonic()
        for chains in self._stages:
            with ThreadPoolExecutor(CORES) as pool:
                outcomes = list(pool.map(self._run_chain, chains))
            for failure in filter(None, outcomes):
                sys.exit(failure)

    def _run_chain(self, chain: Sequence[Step]) -> str:
        """Run steps in turn; gives what is to be said of one that failed."""
        for step in chain:
            if step.after:
                self._ended[step.after].wait()
            failure = "" if self._failed.is_set() else self._run(step)
            if failure:
                self._failed.set()
            self._ended[step].set()
            if failure:
                return failure
        return ""

    def _run(self, step: Step) -> str:
        number = list(self._weight).index(step) + 1
        self._say(
            f"\n[{number}/{len(self._weight)}, {self._time()}] {step.title}\n$ {shlex.join(step.command)}"
        )
        name = re.sub(r"[^a-z0-9]+", "-", step.title.lower()).strip("-")
        log = self.folder / "logs" / f"{number:02d}-{name}.log"
        with (
            log.open("w") as file,
            subprocess.Popen(
                step.command,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # the same figures on any number of cores
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                self._show(step, number, line)
        if process.returncode:
            tail = "".join(log.read_text().splitlines(keepends=True)[-15:])
            return (
                f"{tail}\nThe command failed (exit code {process.returncode}); all of its output is in {log}"
            )
        self._finished[step] = 1.0
        return ""

    def _show(self, step: Step, number: int, line: str) -> None:
        """Pass a line on; of a training's output only what tells its progress."""
        if step.quiet:
            return
        if not step.updates:
            self._say(f"  [{number}] " + line.rstrip("\n").split("\r")[-1])
            return
        match = _PROGRESS.search(line)
        if match:
            done = _UPDATES.search(line)
            if done:
                self._finished[step] = min(1.0, int(done[1]) / step.updates)
            self._say(f"  [{number}] {match[1]:11s} {'  '.join(_SHOWN.findall(match[2]))}  ({self._time()})")

    def _time(self) -> str:
        """How long the run has taken, and about how long it will take yet."""
        elapsed = time.monotonic() - self._began
        total = sum(self._weight.values())
        done = sum(self._weight[step] * part for step, part in self._finished.items())
        pace = elapsed / done if done > total / 20 else 1.0  # of so many steps nothing can be told
        return f"{elapsed:.0f} s, about {_about(pace * (total - done))} left"

    def _say(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)

    def compare(self, tasks: Mapping[str, Task], starts: Mapping[str, Start], seeds: Sequence[int]) -> None:
        """Fine-tune for all tasks from each start and test it, what needs no pre-training beside that.

        Args:
            tasks: by name.
            starts: by name of the method.
            seeds: of fine-tuning.
        """
        chains = [[start.pretraining] for start in starts.values() if start.pretraining]
        for method, start in sorted(starts.items(), key=lambda item: item[1].pretraining is not None):
            for seed in seeds:
                for name, task in tasks.items():
                    run = self.folder / "runs" / f"{name}-{method}-{seed}"
                    title = f"Fine-tune {name} from {method}, seed {seed}"
                    tune = training(title, task, run, f"common.seed={seed}", *start.overrides)
                    test = self._evaluation(run, task.data, method, seed)
                    chains.append([replace(tune, after=start.pretraining), test])
        self.add_chains(*chains)

    def _evaluation(self, run: Path, manifest: Path, method: str, seed: int) -> Step:
        """Test a fine-tuned model on the five lead sets, and add the figures to `evaluations.json`."""
        command = (
            *(program("fairseq-signals"), "evaluate", str(run / "checkpoint_best.pt")),
            *("--manifest", str(manifest), "--leads", LEAD_SETS, "--method", method, "--seed", str(seed)),
            *("--json", str(self.folder / "evaluations.json"), "--append"),
            *("--save", str(self.folder / "evaluations" / f"{run.name}.npz")),
        )
        return Step(f"Test {method}, {manifest.name}, seed {seed}, on five lead sets", command, 12)

    def table(self, title: str) -> None:
        """Make the tables and the bar chart of the figures beside them."""
        script = python("examples/quickstart/results_table.py", str(self.folder / "evaluations.json"))
        options = ("--out", str(self.folder), "--title", title)
        saved = ("--less", RANDOM_INIT, "--saved", str(self.folder / "evaluations"))
        self.add("Make the tables", *script, *options, *saved, seconds=6)


def training(title: str, task: Task, save_dir: Path, *overrides: str) -> Step:
    """`fairseq-hydra-train` for a task; checkpoints are in `save_dir`."""
    command = (
        program("fairseq-hydra-train"),
        *("--config-dir", str(task.config.parent), "--config-name", task.config.stem),
        "common.user_dir=fairseq_signals",
        f"task.data={task.data}",
        f"checkpoint.save_dir={save_dir}",
        f"hydra.run.dir={save_dir}",
        *task.overrides,
        *overrides,
    )
    return Step(title, command, task.seconds, task.updates)


def program(name: str) -> str:
    """A program of the environment that runs this script."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name) or name


def python(script: str, *arguments: str) -> tuple[str, ...]:
    """A script of the checkout, run by this interpreter."""
    return (sys.executable, str(ROOT / script), *arguments)


def _about(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
