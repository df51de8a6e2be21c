"""Runs the commands that a user would type, one after the other, and shows each of them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = Path(__file__).resolve().parent / "config"
LEAD_SETS = "12,6,3,2,1"
#: What is compared, and `model.no_pretrained_weights` of it.
METHODS = {"w2v_cmsc_rlm": "false", "random_init": "true"}
_PROGRESS = re.compile(r"\[(train_inner|valid|train)\]\[INFO\] - (.*)")
_SHOWN = re.compile(r"epoch \d+|\b(?:num_updates|loss|accuracy|cmsc_loss|auroc|cinc_score)\b[= ]+[-\d.]+")


class Steps:
    """Commands with their output in one log file a step, and progress on the terminal.

    Args:
        folder: for the logs and all results; what is there is removed.
        total: number of steps, to show how far the run is.
    """

    def __init__(self, folder: Path, total: int):
        self.folder, self.total, self.done = folder, total, 0
        self.began = time.monotonic()
        if folder.is_dir():
            shutil.rmtree(folder)
        (folder / "logs").mkdir(parents=True)

    def run(self, title: str, *command: str) -> None:
        """Echo a command, run it from the checkout's folder, and stop with its last lines if it fails."""
        self.done += 1
        elapsed = time.monotonic() - self.began
        print(f"\n[{self.done}/{self.total}, {elapsed:.0f} s] {title}\n$ {shlex.join(command)}", flush=True)
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        log = self.folder / "logs" / f"{self.done:02d}-{name}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # the same figures on any number of cores
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                self._show(line, quiet="fairseq-hydra-train" in command[0])
        if process.wait():
            tail = "".join(log.read_text().splitlines(keepends=True)[-15:])
            sys.exit(
                f"{tail}\nThe command failed (exit code {process.returncode}); all of its output is in {log}"
            )

    def _show(self, line: str, quiet: bool) -> None:
        """Pass a line on; of a training's output only what tells its progress."""
        if not quiet:
            print("  " + line.rstrip("\n").split("\r")[-1], flush=True)
            return
        match = _PROGRESS.search(line)
        if match:
            print(f"  {match[1]:11s} {'  '.join(_SHOWN.findall(match[2]))}", flush=True)

    def train(self, title: str, config: str, data: Path, save_dir: Path, *overrides: str) -> Path:
        """Run fairseq-hydra-train with a configuration of this folder; returns where checkpoints are."""
        self.run(
            title,
            program("fairseq-hydra-train"),
            *("--config-dir", str(CONFIGS), "--config-name", config),
            "common.user_dir=fairseq_signals",
            f"task.data={data}",
            f"checkpoint.save_dir={save_dir}",
            f"hydra.run.dir={save_dir}",
            *overrides,
        )
        return save_dir

    def pretrain(self, data: Path, save_dir: Path, updates: int, *overrides: str) -> Path:
        """Pre-train W2V+CMSC+RLM for so many updates; returns its last checkpoint."""
        run = self.train(
            "Pre-train W2V+CMSC+RLM",
            "pretrain",
            data,
            save_dir,
            *overrides,
            f"optimization.max_update={updates}",
            f"lr_scheduler.total_num_update={updates}",
        )
        return run / "checkpoint_last.pt"

    def compare(
        self,
        tasks: Mapping[str, Path],
        pretrained: Path,
        results: Path,
        seed: int,
        overrides: Sequence[str],
        several_seeds: bool = False,
    ) -> None:
        """Fine-tune both tasks from a checkpoint and from random weights of its shape, and test each.

        Args:
            tasks: the manifests of each task.
            pretrained: the checkpoint.
            results: file that collects the figures.
            seed: of fine-tuning.
            overrides: what the configuration of both tasks is changed by.
            several_seeds: titles and folders name the seed.
        """
        for task, data in tasks.items():
            for method, from_scratch in METHODS.items():
                run = self.train(
                    f"Fine-tune {task} from {method}" + (f", seed {seed}" if several_seeds else ""),
                    task,
                    data,
                    results.parent / "runs" / (f"{task}-{method}" + (f"-{seed}" if several_seeds else "")),
                    f"common.seed={seed}",
                    *overrides,
                    f"model.model_path={pretrained}",
                    f"model.no_pretrained_weights={from_scratch}",
                )
                self.evaluate(run / "checkpoint_best.pt", data, method, results, seed)

    def table(self, results: Path, title: str) -> None:
        """Make the table and the bar chart of the figures beside them."""
        script = python("examples/quickstart/results_table.py", str(results), "--out", str(results.parent))
        self.run("Make the table", *script, "--title", title)

    def evaluate(self, checkpoint: Path, manifest: Path, method: str, results: Path, seed: int) -> None:
        """Test a fine-tuned model on the five lead sets and add the figures to `results`."""
        self.run(
            f"Test {method}, {manifest.name}, on five lead sets",
            program("fairseq-signals"),
            *("evaluate", str(checkpoint), "--manifest", str(manifest), "--leads", LEAD_SETS),
            *("--method", method, "--seed", str(seed), "--json", str(results), "--append"),
        )


def program(name: str) -> str:
    """A program of the environment that runs this script."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name) or name


def python(script: str, *arguments: str) -> tuple[str, ...]:
    """A script of the checkout, run by this interpreter."""
    return (sys.executable, str(ROOT / script), *arguments)
