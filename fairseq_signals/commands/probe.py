"""`fairseq-signals probe`: what a few examples of each class tell an encoder. Needs PyTorch, not fairseq."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fairseq_signals.commands.arguments import (
    add_batch_size,
    add_device,
    add_model,
    integer_from,
    require_out,
    some_path,
)
from fairseq_signals.commands.lead_set_arguments import add_lead_sets, lead_sets_of
from fairseq_signals.commands.model_arguments import add_input_options, input_arguments


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Tell records of N classes from K examples of each, by the embeddings of a frozen "
        "encoder: mean accuracy over episodes and its 95 %% interval, by the nearest mean and by logistic "
        "regression, beside the same encoder with random weights. No patient is both example and query.",
    )
    add_model(parser, "any model")
    parser.add_argument(
        "--manifest", type=some_path, required=True, metavar="DIR", help="folder: SPLIT.tsv and labels.csv"
    )
    parser.add_argument("--split", default="test", help="which manifest (default: %(default)s)")
    parser.add_argument("--ways", type=integer_from(2), default=5, metavar="N", help="classes (default: 5)")
    parser.add_argument(
        "--shots",
        type=integer_from(1),
        nargs="+",
        default=[1, 5],
        metavar="K",
        help="examples of each (default: 1 5)",
    )
    parser.add_argument(
        "--queries", type=integer_from(1), default=5, metavar="Q", help="queries of each (default: 5)"
    )
    parser.add_argument(
        "--episodes", type=integer_from(1), default=600, metavar="E", help="of each K (default: 600)"
    )
    parser.add_argument("--seed", type=integer_from(None), default=1, help="of the episodes (default: 1)")
    add_lead_sets(parser)
    parser.add_argument("--json", type=some_path, metavar="FILE", help="write the rows as a JSON list")
    add_batch_size(parser, 64)
    add_device(parser)
    add_input_options(parser, cut_already=True)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Probe, print the table, write the file that was asked for; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.json, option="--json")
    lead_sets = lead_sets_of(args)
    import json

    from fairseq_signals.evaluation.few_shot import few_shot
    from fairseq_signals.evaluation.results import format_table
    from fairseq_signals.files import write_text
    from fairseq_signals.safety.text import tell

    found = few_shot(
        args.checkpoint,
        args.manifest,
        lead_sets,
        args.split,
        args.ways,
        args.shots,
        args.queries,
        args.episodes,
        args.seed,
        args.batch_size,
        args.device,
        input_arguments(args),
    )
    of = f"{args.ways} classes, {args.queries} queries each, {args.episodes:,} episodes"
    chance = f"chance {1 / args.ways:.3f}"
    tell(
        f"{args.checkpoint.stem}: {of} ({args.manifest}, {args.split}); {chance}",
        sys.stdout,
    )
    rows = [
        (one.encoder, one.probe, one.leads, str(one.shots), f"{one.accuracy:.3f} +- {one.half_interval:.3f}")
        for one in found
    ]
    print(format_table(("encoder", "probe", "leads", "K", "accuracy"), rows, n_left=3))
    if args.json:
        write_text(args.json, [json.dumps([one._asdict() for one in found], indent=2) + "\n"])
        print(f"wrote {args.json}")
    return 0
