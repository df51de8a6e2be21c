"""Pre-training manifests: adjacent segments of all records but those that downstream tasks hold out.

Example:
    python manifests/pretrain.py STORE --dest manifests/pretrain --exclude manifests/dx manifests/id
"""

from __future__ import annotations

import argparse
import sys

from fairseq_signals.commands.arguments import share, some_path
from fairseq_signals.commands.manifest_arguments import script_main, stores_parser
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.building import finish, load_corpus, tail_note
from fairseq_signals.manifest.exclusion import exclude_held_out
from fairseq_signals.manifest.folder import PRETRAIN
from fairseq_signals.manifest.splits import split_keys


def build_parser() -> argparse.ArgumentParser:
    parser = stores_parser(__doc__)
    parser.add_argument(
        "--exclude",
        nargs="+",
        type=some_path,
        metavar="DIR",
        help="downstream manifest folders whose validation and test people are left out",
    )
    parser.add_argument("--no-exclusions", action="store_true", help="there are no downstream tasks yet")
    parser.add_argument(
        "--valid-fraction", type=share, default=0.05, help="share of patients in valid.tsv (default: 0.05)"
    )
    parser.add_argument(
        "--test-fraction",
        type=share,
        default=0.0,
        help="share of patients who are left out, for tests of what is fine-tuned (default: 0)",
    )
    return parser


def build(args: argparse.Namespace) -> None:
    """Write `train.tsv` and, unless its share is 0, `valid.tsv`."""
    if not args.exclude and not args.no_exclusions:
        raise ConfigError(
            "pre-training must not see the validation and test records of downstream tasks: make their "
            "manifests first and name the folders with --exclude, or say --no-exclusions if there are none"
        )
    if args.exclude and args.no_exclusions:
        raise ConfigError("--exclude and --no-exclusions contradict each other; give one of them")
    shares = {"train": 1 - args.valid_fraction - args.test_fraction}
    shares.update(valid=args.valid_fraction, test=args.test_fraction)
    if shares["train"] <= 0:
        raise ConfigError("--valid-fraction and --test-fraction must leave patients to train on")
    corpus = load_corpus(args)
    notes = exclude_held_out(corpus, args.exclude or [])
    corpus.name_patients()  # downstream manifests may know patients that the stores do not
    split_of = split_keys({record.patient_id for record in corpus.records}, shares, args.seed)
    corpus.leave_out(lambda r: split_of[r.patient_id] == "test", "of patients for tests")
    splits = {name: corpus.listing() for name in ("train", "valid") if shares[name] > 0}
    for record in corpus.records:
        splits[split_of[record.patient_id]].add(record)
    n_segments = [record.n_samples // corpus.segment_samples for record in corpus.records]
    n_pairs, n_single = sum(n // 2 for n in n_segments), sum(n % 2 for n in n_segments)
    notes += [f"{n_pairs:,} pairs of adjacent segments; {n_single:,} single segments", tail_note(corpus)]
    finish(corpus, PRETRAIN, args, splits, notes, facts={"pairs": n_pairs, "single_segments": n_single})


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
