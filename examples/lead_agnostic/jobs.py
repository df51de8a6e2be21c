"""Commands that run once: a file beside their log says that one has succeeded. Several run at a time."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """One command.

    Args:
        name: of its log, and on the terminal.
        command: program and arguments; a job whose command has changed is run again.
        needs: names of the jobs that must have succeeded before.
    """

    name: str
    command: list[str]
    needs: list[str] = field(default_factory=list)


class Jobs:
    """Runs jobs, and keeps their logs and what is done.

    Args:
        folder: for `NAME.log`, and for `NAME.done` with the command that succeeded.
        at_a_time: how many run at the same time, each with one thread.
    """

    def __init__(self, folder: Path, at_a_time: int):
        self.folder, self.at_a_time = folder, at_a_time
        folder.mkdir(parents=True, exist_ok=True)

    def is_done(self, job: Job) -> bool:
        """Whether the job's very command has succeeded."""
        path = self._file(job.name, "done")
        return path.exists() and path.read_text(encoding="utf-8") == shlex.join(job.command)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run what is not done, in this order as far as needs allow.

        Raises:
            SystemExit: one failed; those that were running have been waited for.
        """
        waiting = [job for job in jobs if not self.is_done(job)]
        open_names = {job.name for job in waiting}
        running: list[tuple[Job, subprocess.Popen, float]] = []
        total, failed = len(waiting), ""
        while running or (waiting and not failed):
            for job in list(waiting) if not failed else ():
                if len(running) < self.at_a_time and not open_names.intersection(job.needs):
                    waiting.remove(job)
                    running.append((job, self._start(job), time.monotonic()))
            time.sleep(POLL_SECONDS)
            for entry in [entry for entry in running if entry[1].poll() is not None]:
                running.remove(entry)
                job, process, began = entry
                if process.returncode:
                    failed = f"{job.name} failed; see {self._file(job.name, 'log')}"
                    continue
                self._file(job.name, "done").write_text(shlex.join(job.command), encoding="utf-8")
                open_names.remove(job.name)
                print(
                    f"[{total - len(open_names)}/{total}] {job.name}: {time.monotonic() - began:.0f} s",
                    flush=True,
                )
        if failed:
            sys.exit(failed)

    def _start(self, job: Job) -> subprocess.Popen:
        with self._file(job.name, "log").open("a", encoding="utf-8") as log:
            print(f"$ {shlex.join(job.command)}", file=log, flush=True)
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            return subprocess.Popen(
                ["nice", *job.command], stdout=log, stderr=subprocess.STDOUT, env=environment
            )

    def _file(self, name: str, suffix: str) -> Path:
        return self.folder / f"{name}.{suffix}"
