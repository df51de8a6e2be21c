"""`fairseq-signals compare`: whether the difference between two models is more than chance."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from fairseq_signals.commands.arguments import integer_from, require_out, some_path
from fairseq_signals.safety.text import tell, visible


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compare two models by their evaluations on the same records: each metric of A less that "
        "of B, its 95 % interval, and the p-value of no difference, from the same resamples of the patients. "
        "P-values are not corrected for their number.",
    )
    parser.add_argument("one", type=some_path, metavar="A.npz", help="of `fairseq-signals evaluate --save`")
    parser.add_argument("other", type=some_path, metavar="B.npz", help="the same of the other model")
    parser.add_argument(
        "--leads",
        type=lambda text: text.split(","),
        default=(),
        metavar="SETS",
        help="lead sets, separated by commas; 12:2 compares A on 12 leads with B on 2; each, random:4: the "
        "mean over such lead sets (default: all that both have)",
    )
    parser.add_argument(
        "--resamples", type=integer_from(1), default=1000, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument("--json", type=some_path, metavar="FILE", help="write the comparison as a JSON list")
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Compare, print the table, write the file that was asked for; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.json, option="--json")
    from fairseq_signals.evaluation.comparison import compare, comparison_cells, comparison_rows
    from fairseq_signals.evaluation.results import format_table
    from fairseq_signals.evaluation.saved_results import read_evaluation
    from fairseq_signals.files import write_text
    from fairseq_signals.metrics.bootstrap import METHOD, SEED

    one, other = map(read_evaluation, (args.one, args.other))
    if one.method == other.method:
        one, other = replace(one, method=str(args.one)), replace(other, method=str(args.other))
    found, names = compare(one, other, args.leads, args.resamples), (one.method, other.method)
    tell(f"{one.task}: {names[0]} less {names[1]}", sys.stdout)
    header, lines = comparison_cells(found, names)
    print(format_table([visible(name) for name in header], lines, n_left=2))
    print(f"note: {METHOD}, {args.resamples:,} resamples, seed {SEED}; p of no difference, two-sided")
    if args.json:
        write_text(args.json, [json.dumps(comparison_rows(found, names), indent=1, allow_nan=False), "\n"])
        print(f"wrote {args.json}")
    return 0
