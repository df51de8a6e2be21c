"""How far a workflow is, and about how long it still takes."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from fairseq_signals.benchmark.work import Work

POLL_S = 1.0


class Progress:
    """Says it once for each step that has ended.

    Args:
        seconds: what each step may take, by its name; in any unit, as only shares count.
        began: the time on the clock, in seconds.
    """

    def __init__(self, seconds: dict[str, float], began: float):
        self.left, self.total, self.began = dict(seconds), sum(seconds.values()), began
        self.n = len(seconds)

    def ended(self, name: str, now: float) -> str:
        """What is to be said when a step ends."""
        del self.left[name]
        left = sum(self.left.values())
        remaining = (now - self.began) * left / (self.total - left) if left < self.total else 0.0
        about = f"; about {_duration(remaining)} left" if left else ""
        return f"[{self.n - len(self.left)}/{self.n}] {name}{about}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def show_progress(workflow: Any, work: Work) -> None:
    """Tell on standard error which steps of Snakemake have ended, until this process ends."""
    jobs = {}
    for job in workflow.dag.needrun_jobs(exclude_finished=False):
        wildcards = dict(job.wildcards)
        jobs[" ".join([job.rule.name, *wildcards.values()])] = (job, work.seconds(job.rule.name, wildcards))
    for store in work.absent:
        print(f"without {store.corpus}: {store.path} is not there", file=sys.stderr, flush=True)
    progress = Progress({name: seconds for name, (_, seconds) in jobs.items()}, time.monotonic())

    def watch() -> None:
        while progress.left:
            for name in [name for name in progress.left if workflow.dag.finished(jobs[name][0])]:
                print(progress.ended(name, time.monotonic()), file=sys.stderr, flush=True)
            time.sleep(POLL_S)

    threading.Thread(target=watch, daemon=True).start()
