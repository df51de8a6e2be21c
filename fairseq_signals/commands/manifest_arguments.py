"""What the scripts in `manifests/` share: arguments, and how they end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from fairseq_signals.commands.arguments import integer_from, number, positive, some_path
from fairseq_signals.commands.outcome import exit_code
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.manifest.split_table import SPLITS, split_by_attribute, split_by_table
from fairseq_signals.manifest.splits import parse_shares, split_keys


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that prints the description of a script, its docstring, as it stands."""
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=raw)


def stores_parser(description: str | None) -> argparse.ArgumentParser:
    """A `script_parser` with the arguments of every script that makes manifests from stores."""
    parser = script_parser(description)
    parser.add_argument(
        "stores", nargs="+", type=some_path, metavar="STORE", help="folder made by preprocess/"
    )
    parser.add_argument("--dest", type=some_path, required=True, help="folder for the manifests")
    parser.add_argument(
        "--seed", type=integer_from(None), default=1, help="decides who is in which split (default: 1)"
    )
    parser.add_argument(
        "--sources", nargs="+", metavar="NAME", help="only these corpora of the store (default: all)"
    )
    parser.add_argument(
        "--segment-seconds",
        type=number(0, 1e6, low_included=False),
        default=5.0,
        help="default: %(default)g",
    )
    parser.add_argument("--fs", type=positive, help="only records of this sampling rate, in Hz")
    parser.add_argument(
        "--where",
        metavar="EXPRESSION",
        help='only records for which this is true, such as "age >= 18 and n_leads == 12"; see README.md',
    )
    return parser


def add_split(parser: argparse.ArgumentParser) -> None:
    """How patients are divided into train, valid and test; see `split_patients`."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--split", default="8:1:1", help="shares of patients, train:valid:test (default: 8:1:1)")
    how.add_argument(
        "--split-table",
        type=some_path,
        metavar="CSV",
        help="columns patient_id or record_id, and split (train, valid, test) or strat_fold (PTB-XL)",
    )
    how.add_argument(
        "--split-by",
        metavar="ATTRIBUTE",
        help="attribute of the records that is train, valid or test, or a fold of PTB-XL (strat_fold)",
    )


def add_vocab_size(parser: argparse.ArgumentParser, of: str = "the tokenizer") -> None:
    """Add `--vocab-size`, of a tokenizer that is learnt."""
    parser.add_argument(
        "--vocab-size",
        type=integer_from(16),
        default=1000,
        metavar="N",
        help=f"pieces of {of}, at most (default: 1000)",
    )


def split_patients(corpus: Corpus, args: argparse.Namespace) -> dict[str, str]:
    """The split of each patient, as the options of `add_split` say."""
    if args.split_table:
        return split_by_table(corpus, args.split_table)
    if args.split_by:
        return split_by_attribute(corpus, args.split_by)
    patients = {record.patient_id for record in corpus.records}
    return split_keys(patients, parse_shares(args.split, SPLITS), args.seed)


def script_main(
    build_parser: Callable[[], argparse.ArgumentParser], build: Callable[[argparse.Namespace], int | None]
) -> Callable[..., int]:
    """The `main` of a script: it takes the command line (by default that of the process), does the work and
    returns the exit code, see `exit_code`."""

    def main(argv: Sequence[str] | None = None) -> int:
        args = build_parser().parse_args(argv)
        return exit_code(lambda: build(args) or 0)

    return main
