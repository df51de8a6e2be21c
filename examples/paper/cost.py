"""What the jobs that are left will take, from the figures in a scale's configuration."""

from __future__ import annotations

import atexit
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from experiment import Experiment

from fairseq_signals.evaluation.results import format_table

UNITS = {"cpu_h": "CPU hours", "gpu_h": "GPU hours"}


def job_cost(costs: Mapping[str, Any], rule: str, wildcards: Mapping[str, str]) -> dict[str, float]:
    """CPU and GPU hours of one job; a fine-tuning or test costs its figure once for each lead set.

    Args:
        costs: by rule, `cpu_h` and `gpu_h`, each a number, or numbers by method or task with a `default`.
        rule: name of the rule; one without figures costs nothing.
        wildcards: of the job.
    """
    n_lead_sets = wildcards["leads"].count("+") + 1 if "leads" in wildcards else 1
    found = {}
    for unit, figure in costs.get(rule, {}).items():
        if isinstance(figure, Mapping):
            keys = (wildcards.get("method"), wildcards.get("task"), "default")
            figure = next((figure[key] for key in keys if key in figure), 0.0)
        found[unit] = float(figure) * n_lead_sets
    return found


def cost_table(
    experiment: Experiment, jobs: Iterable[tuple[str, Mapping[str, str]]], n_cores: int | None = None
) -> str:
    """Jobs and hours by rule, and in all.

    Args:
        jobs: (rule, wildcards) of each.
        n_cores: with a figure, how long that many cores take.
    """
    costs = experiment["cost"]
    found: dict[str, Counter] = {}
    total: Counter = Counter()
    for rule, wildcards in jobs:
        job = {"jobs": 1, **job_cost(costs, rule, wildcards)}
        found.setdefault(rule, Counter()).update(job)
        total.update(job)
    shown = [unit for unit in UNITS if total[unit]]
    lines = [
        [rule, f"{sums['jobs']:,}", *(f"{sums[unit]:.2f}" for unit in shown)]
        for rule, sums in [*sorted(found.items()), ("total", total)]
    ]
    text = [f"What is left of the {experiment['scale']} scale, and its cost ({costs['source']}):", ""]
    text.append(format_table(["rule", "jobs", *(UNITS[unit] for unit in shown)], lines))
    if n_cores and total["cpu_h"] and not total["gpu_h"]:
        text += ["", f"about {60 * total['cpu_h'] / n_cores:.0f} minutes on {n_cores} free cores"]
    return "\n".join(text)


def show_cost(workflow: Any, experiment: Experiment) -> None:
    """Print the table for what Snakemake has found to do."""
    jobs = [(job.rule.name, dict(job.wildcards)) for job in workflow.dag.needrun_jobs(exclude_finished=False)]
    if jobs:
        table = cost_table(experiment, jobs, getattr(workflow, "_cores", None))
        print(f"\n{table}", file=sys.stderr, flush=True)


def show_cost_of_dry_run(workflow: Any, experiment: Experiment) -> None:
    """Arrange for the table to be printed when a dry run ends: before, Snakemake does not know its jobs."""

    def at_exit() -> None:
        if workflow.dryrun and workflow.dag is not None:
            show_cost(workflow, experiment)

    atexit.register(at_exit)
