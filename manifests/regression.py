"""Regression manifests: all segments of each record with its numbers (age, LVEF, ...), split by patient.

Example:
    python manifests/regression.py STORE --dest manifests/age --target age
    python manifests/regression.py STORE --dest manifests/echo --values echo.csv --target LVEF --unit %
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from fairseq_signals.commands.arguments import some_path
from fairseq_signals.commands.manifest_arguments import add_split, script_main, split_patients, stores_parser
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.building import finish, load_corpus, tail_note
from fairseq_signals.manifest.folder import REGRESSION, TARGETS_FILE
from fairseq_signals.manifest.record_values import (
    AGE,
    Values,
    target_table,
    values_of_corpus,
    values_of_table,
)
from fairseq_signals.manifest.split_table import SPLITS
from fairseq_signals.manifest.targets import TargetTable, format_target


def build_parser() -> argparse.ArgumentParser:
    parser = stores_parser(__doc__)
    parser.add_argument(
        "--target",
        nargs="+",
        metavar="NAME",
        help="what is predicted: age, or attributes of the records that are numbers; or columns of --values "
        "(default: all of them)",
    )
    parser.add_argument(
        "--values",
        type=some_path,
        metavar="CSV",
        help="table with a column record_id or patient_id, and columns of numbers",
    )
    parser.add_argument(
        "--unit", nargs="+", metavar="UNIT", help="of each target, to be shown with it (of age: years)"
    )
    add_split(parser)
    return parser


def build(args: argparse.Namespace) -> None:
    """Write the three splits, with the target table beside them."""
    if not (args.target or args.values):
        raise ConfigError("name what is predicted: --target age, or --values with a table of numbers")
    attributes = [args.split_by] if args.split_by else []
    if args.values:
        corpus = load_corpus(args, attributes=attributes)
        names, values = values_of_table(corpus, args.values, args.target)
    else:
        corpus = load_corpus(args, attributes=[*args.target, *attributes])
        names, values = tuple(args.target), values_of_corpus(corpus, args.target)
    units = args.unit or ["years" if name == AGE and not args.values else "" for name in names]
    if len(units) != len(names):
        raise ConfigError(f"--unit: {len(units)} units for {len(names)} targets ({', '.join(names)})")
    split_of_patient = split_patients(corpus, args)
    split_of = {record.record_id: split_of_patient[record.patient_id] for record in corpus.records}
    values = {record: values[record] for record in split_of}
    table = target_table(names, units, values, split_of)
    present = set(split_of.values())
    splits = {name: corpus.listing() for name in SPLITS if name in present}
    for record in corpus.records:
        splits[split_of[record.record_id]].add(record, format_target(values[record.record_id]))
    notes = [tail_note(corpus), *value_table(table, values, split_of)]
    finish(corpus, REGRESSION, args, splits, notes, {TARGETS_FILE: table.to_csv()})


def value_table(table: TargetTable, values: Values, split_of: dict[str, str]) -> list[str]:
    """Lines that show the values of each target and split."""
    lines = ["values of the records:       mean   deviation     least   largest"]
    for split in SPLITS:
        found = np.array([row for record, row in values.items() if split_of[record] == split])
        for name, unit, of_target in zip(table.names, table.units, found.T):
            numbers = (of_target.mean(), of_target.std(), of_target.min(), of_target.max())
            shown = "".join(f"{number:>10.4g}" for number in numbers)
            lines.append(f"  {split:6} {name:14}{shown}  {unit}".rstrip())
    return lines


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
