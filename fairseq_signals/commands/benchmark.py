"""Compare methods on tasks, lead sets and label fractions: a leaderboard.

    fairseq-signals benchmark real --shared ../shared --out outputs/benchmark
    fairseq-signals benchmark mine.yaml --methods random_init mine --seeds 1

SETTINGS is a YAML file, or the name of one that ships. What is done is not done again, and trainings that
were stopped go on: give the same command again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.benchmark.settings import SHIPPED, Settings, find_settings
from fairseq_signals.benchmark.work import Work
from fairseq_signals.errors import ConfigError, OutputError, optional_library
from fairseq_signals.safety.locks import one_process

SNAKEFILE = SHIPPED.parent / "Snakefile"
#: A step is done again where its inputs or settings have changed, not where only the code has. What was
#: killed while it wrote a file writes it again, and a step that fails stops none that does without it. The
#: Snakefile has a lock that ends with its process.
OPTIONS = (
    *("--rerun-triggers", "mtime", "params", "input"),
    *("--rerun-incomplete", "--keep-going", "--nolock", "--show-failed-logs"),
)
QUIET = ("--quiet", "all")  # the Snakefile tells how far it is, and the end of the log of a step that failed


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", metavar="SETTINGS", help="a YAML file, or the name of one that ships")
    parser.add_argument("--out", type=Path, help="folder of the run (default: outputs/benchmark/NAME)")
    parser.add_argument("--shared", type=Path, metavar="DIR", help="folder with real_ecg and more_ecg")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these rows, with the baseline")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="in place of those of the settings")
    parser.add_argument("--split", choices=("valid", "test"), help="valid: for trials")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="steps at a time (default: 2)")
    parser.add_argument(
        "--measure", action="store_true", help="print the CPU seconds of an update of each method instead"
    )
    parser.add_argument("--rounds", type=int, default=2, help="of --measure; the least counts (default: 2)")
    parser.add_argument("--dry-run", action="store_true", help="say what is left to do")
    return parser


def main(argv: Sequence[str] | None = None, prog: str = "fairseq-signals benchmark") -> int:
    """Run it; the exit code is Snakemake's."""
    args = build_parser(prog).parse_args(argv)
    optional_library("snakemake", "The benchmark", "paper")
    path = find_settings(args.settings)
    out = (args.out or Path("outputs/benchmark") / path.stem).resolve()
    settings = Settings.read(
        path,
        out=str(out),
        shared=str(args.shared.resolve()) if args.shared else None,
        rows=args.methods,
        seeds=args.seeds,
        split=args.split,
    )
    Work(settings)  # what cannot be is told before anything runs
    busy = OutputError(f"{out}: another benchmark is running there; wait for it, or stop it")
    with one_process(out, busy):
        settings.write()
    if args.measure:
        return _measure(settings, args)
    return _snakemake(out, args, *(["--dry-run"] if args.dry_run else []))


def _snakemake(out: Path, args: argparse.Namespace, *more: str) -> int:
    command = [sys.executable, "-m", "snakemake", *more, "-s", str(SNAKEFILE), "--directory", str(out)]
    command += ["--config", f"out={out}", "--cores", str(args.jobs), *OPTIONS]
    return subprocess.run([*command, *(() if args.dry_run else QUIET)]).returncode


def _measure(settings: Settings, args: argparse.Namespace) -> int:
    from fairseq_signals.benchmark.measure import measure

    names = [name for name in args.methods or settings.methods if settings.methods[name].config]
    if not names:
        raise ConfigError("no method of these is trained")
    code = _snakemake(Path(settings.out), args, "manifests/done")
    if code:
        return code
    os.environ["OMP_NUM_THREADS"] = "1"
    for name, rounds in measure(settings, names, args.rounds).items():
        print(f"  {name}: {{seconds: {min(rounds):.3f}}}  # {', '.join(f'{each:.3f}' for each in rounds)}")
    return 0
