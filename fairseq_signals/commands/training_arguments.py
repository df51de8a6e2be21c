"""What `pretrain` and `finetune` share: their arguments, and how they train."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from fairseq_signals.commands.arguments import integer_from, some_path

_START = "a checkpoint, a saved folder, the folder of a training, or starter, the weights that ship"


def training_parser(prog: str | None, description: str, needs_start: bool) -> argparse.ArgumentParser:
    """The arguments of a training."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=f"{description} The command of fairseq is printed, and run: `fairseq-hydra-train`, whose "
        "options are given as GROUP.KEY=VALUE. Given again, the same command goes on where it was stopped.",
    )
    parser.add_argument("data", type=some_path, metavar="DATA", help="folder of manifests")
    parser.add_argument(
        "overrides", nargs="*", metavar="GROUP.KEY=VALUE", help="such as optimization.max_update=2000"
    )
    parser.add_argument(
        "--out",
        type=some_path,
        required=True,
        metavar="RUN",
        help="folder of the training: its log and, in the end, the model, final.pt",
    )
    parser.add_argument("--start", required=needs_start, metavar="MODEL", help=f"begin with it: {_START}")
    parser.add_argument(
        "--config",
        metavar="NAME|FILE",
        help="a YAML file, or the name of one that ships, such as w2v_cmsc_rlm (default: the small one)",
    )
    parser.add_argument("--seed", type=integer_from(0), default=1, help="default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="print the command of fairseq and stop")
    return parser


def run_training(step: str, parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Plan, tell, train, and say what comes next; the exit code is 0."""
    args = parser.parse_intermixed_args(argv)
    from fairseq_signals.training.plan import plan
    from fairseq_signals.training.run import FINAL, train

    made = plan(step, args.data, args.out, args.config, args.start, args.seed, args.overrides)
    if args.dry_run:
        print(shlex.join(made.run.command()))
        return 0
    for note in made.notes:
        print(f"{args.data}: {note}", flush=True)
    train([made.run], put_aside=False)
    out, data = shlex.quote(str(args.out)), shlex.quote(str(args.data))
    print(f"trained: {args.out / FINAL}; next: fairseq-signals {NEXT[step].format(out=out, data=data)}")
    return 0


NEXT = {
    "pretrain": "finetune DATA --start {out} --out RUN",
    "finetune": "evaluate {out} --manifest {data}",
}
