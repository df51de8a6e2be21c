"""CPU seconds of one update of each method, measured once: they go into its file in config/.

    python examples/lead_agnostic/measure.py --out outputs/lead_agnostic [METHOD ...]

Of each method a shorter and a longer training: the user and system time that the longer one takes more,
divided by the updates that it has more. The methods take turns, so that what else a machine does falls on all
of them; the least of the rounds counts.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data import ROOT
from run import Experiment
from settings import Method, Settings

SHORT, LONG = 10, 50


def cpu_seconds(experiment: Experiment, method: Method, updates: int) -> float:
    """User and system time of a training; what a method begins with costs it nothing, and is left out."""
    with tempfile.TemporaryDirectory() as folder:
        place = Experiment(
            replace(experiment.settings, budget_s=updates * method.seconds / method.share),
            Path(folder),
            "valid",
        )
        command = place.pretrain(method, 1).command
        command[command.index("--data") + 1] = str(experiment.out / "manifests" / method.data)
        command = [part for part in command if not part.startswith("model.model_path=")]
        before = _used()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(["nice", *command], check=True, capture_output=True, env=environment)
        return _used() - before


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="*", help="default: all")
    parser.add_argument("--experiment", default="experiment", help="a file of config/")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "lead_agnostic")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args(argv)
    experiment = Experiment(Settings.read(args.experiment), args.out.resolve(), "valid")
    known = experiment.settings.methods
    methods = [known[name] for name in args.methods or known if not known[name].random_of]
    found: dict[str, list[float]] = {method.name: [] for method in methods}
    for _ in range(args.rounds):
        for method in methods:
            more = cpu_seconds(experiment, method, LONG) - cpu_seconds(experiment, method, SHORT)
            found[method.name].append(more / (LONG - SHORT))
            print(f"{method.name}: {found[method.name][-1]:.3f}", file=sys.stderr, flush=True)
    for name, rounds in found.items():
        print(f"{name}: {min(rounds):.3f}  ({', '.join(f'{seconds:.3f}' for seconds in rounds)})")


if __name__ == "__main__":
    main()
