"""`fairseq-signals info`: what a checkpoint is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from fairseq_signals.commands.arguments import add_model, some_path
from fairseq_signals.commands.model_arguments import add_input_options, input_arguments
from fairseq_signals.safety.text import tell


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print what a checkpoint is: its task, input, architecture and classes, the data and "
        "options of its training, and how far that was.",
    )
    add_model(parser, "any model")
    parser.add_argument(
        "--labels", type=some_path, metavar="FILE", help="labels.csv, if the checkpoint does not name them"
    )
    add_input_options(parser, classes=True)
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Print; the exit code is 0."""
    args = build_parser(prog).parse_args(argv)
    from fairseq_signals.inference.description import lines
    from fairseq_signals.inference.model import ECGModel

    found = ECGModel.load(args.checkpoint, labels=args.labels, **input_arguments(args)).describe()
    if args.json:
        print(json.dumps(found, indent=2, default=str))
    else:
        for line in lines(found, str(args.checkpoint)):
            tell(line, sys.stdout)
    return 0
