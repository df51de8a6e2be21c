"""Arguments of commands that test a model on lead sets."""

from __future__ import annotations

import argparse

from fairseq_signals.evaluation.lead_sets import (
    DEFAULT_LEAD_SETS,
    LEAD_SETS_HELP,
    LeadSets,
    parse_lead_sets,
)


def add_lead_sets(parser: argparse.ArgumentParser, more: str = "") -> None:
    """`--leads`, on which a model is tested, and `--robustness`; `more` is said of the first."""
    parser.add_argument(
        "--leads",
        action="append",
        metavar="SETS",
        help=f"{LEAD_SETS_HELP}; may be repeated (default: {DEFAULT_LEAD_SETS}, with --robustness 12){more}",
    )
    parser.add_argument(
        "--robustness",
        metavar="CURVES",
        help="also test on less, for `fairseq-signals plot robustness`: leads (random sets of 1, 2 and so on "
        "up to all), rate (the lead sets at lower sampling rates), noise (the lead sets with noise "
        "of muscles, baseline wander and hum), or several of these, separated by commas",
    )


def lead_sets_of(args: argparse.Namespace) -> LeadSets:
    """What the options of `add_lead_sets` give, of a model of twelve leads at 500 Hz: see `of_model`."""
    default = DEFAULT_LEAD_SETS if args.robustness is None else "12"
    return parse_lead_sets(args.leads or [default], curves=args.robustness)
