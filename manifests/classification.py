"""Classification manifests: all segments of each record with its classes, split by patient.

Example:
    python manifests/classification.py STORE --dest manifests/dx --labels cinc2021 --sources cpsc_2018 georgia
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_signals.commands.arguments import number, some_path
from fairseq_signals.commands.manifest_arguments import add_split, script_main, split_patients, stores_parser
from fairseq_signals.errors import ConfigError, LabelError
from fairseq_signals.manifest.building import finish, load_corpus, tail_note
from fairseq_signals.manifest.corpus import Corpus, SegmentList
from fairseq_signals.manifest.folder import CLASSIFICATION, LABELS_FILE, WEIGHTS_FILE, unseen_of
from fairseq_signals.manifest.labels import LabelTable, find_table, parse_target, read_labels, read_weights
from fairseq_signals.manifest.record_labels import (
    STATEMENTS,
    format_labels,
    label_records,
    require_likelihood,
)
from fairseq_signals.manifest.split_table import SPLITS

N_SHOWN = 20  # codes of no class
TABLES = Path(__file__).resolve().parent / "labels"


def build_parser() -> argparse.ArgumentParser:
    parser = stores_parser(__doc__)
    parser.add_argument(
        "--labels",
        metavar="TABLE",
        help="which codes make which class: a CSV file, or one that ships (cinc2021, ptbxl_all, ...)",
    )
    parser.add_argument(
        "--record-labels",
        type=some_path,
        metavar="CSV",
        help="table with a column record_id or patient_id, and labels that take the place of codes",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--label-column",
        metavar="NAME",
        help="column of --record-labels that holds labels, joined with | or ; (default: labels)",
    )
    which.add_argument(
        "--class-columns",
        nargs="+",
        metavar="NAME",
        help="columns of --record-labels that are a class each, of 1 and 0",
    )
    parser.add_argument(
        "--min-likelihood",
        type=number(0, 100),
        metavar="PERCENT",
        help="PTB-XL's statements that are less likely do not count (default: all do)",
    )
    parser.add_argument(
        "--weights",
        type=some_path,
        metavar="CSV",
        help="weights between classes; default: <labels>_weights.csv beside the label table, if it is there",
    )
    parser.add_argument(
        "--leave-class-out",
        nargs="+",
        metavar="NAME",
        help="classes that are left out of training: train.tsv loses their records, valid.tsv and test.tsv "
        "give them to valid_unseen.tsv and test_unseen.tsv, on which `evaluate` tests the outlier score",
    )
    add_split(parser)
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument(
        "--drop-unlabelled", action="store_true", help="leave out records of none of the classes"
    )
    whom.add_argument(
        "--one-class",
        action="store_true",
        help="leave out records that are not of exactly one of the classes",
    )
    return parser


def build(args: argparse.Namespace) -> None:
    """Write the three splits, with the label table and the weights beside them."""
    _check(args)
    attributes = [args.split_by] if args.split_by else []
    if args.min_likelihood is not None:
        attributes.append(STATEMENTS)
    labels_path = find_table(args.labels, TABLES) if args.labels else None
    labels = read_labels(labels_path) if labels_path else None
    corpus = load_corpus(args, ["codes"], attributes)
    if args.min_likelihood is not None:
        corpus.notes.append(require_likelihood(corpus, args.min_likelihood))
    if args.record_labels:
        found = label_records(corpus, args.record_labels, args.label_column, args.class_columns or ())
        labels = labels or found
    assert labels is not None
    every, left_out = labels, None
    if args.leave_class_out:
        labels, left_out = every.divide(args.leave_class_out)
    extra_files = _files(labels, labels_path if left_out is None else None, args.weights)
    n_unlabelled = _require_labels(corpus, every, labels_path or args.record_labels)
    unknown = count_unknown(corpus, every)
    if args.drop_unlabelled:
        corpus.leave_out(lambda r: not every.targets(r.codes), "of none of the classes")
    if args.one_class:
        corpus.leave_out(lambda r: len(every.targets(r.codes)) != 1, "not of exactly one class")
    split_of = split_patients(corpus, args)
    unseen = {r.record_id for r in corpus.records if left_out is not None and left_out.targets(r.codes)}
    corpus.leave_out(
        lambda r: r.record_id in unseen and split_of[r.patient_id] == "train",
        f"of {', '.join(args.leave_class_out or ())}, left out of training",
    )
    names = [
        unseen_of(split_of[r.patient_id]) if r.record_id in unseen else split_of[r.patient_id]
        for r in corpus.records
    ]
    splits = {name: corpus.listing() for name in (*SPLITS, *map(unseen_of, SPLITS)) if name in names}
    target_of: dict[tuple[str, ...], str] = {}  # many records have the same codes
    for record, name in zip(corpus.records, names):
        codes = record.codes
        if codes not in target_of:
            target_of[codes] = ",".join(map(str, labels.targets(codes)))
        splits[name].add(record, target_of[codes])
    counts = count_classes({name: splits[name] for name in SPLITS if name in splits}, len(labels))
    notes = [tail_note(corpus)]
    if not (args.drop_unlabelled or args.one_class):
        notes.append(f"{n_unlabelled:,} records of none of the classes are kept, with an empty target")
    notes += class_table(counts, labels)
    facts: dict[str, Any] = {
        "class_records": {name: dict(zip(labels.abbreviations, n)) for name, n in counts.items()}
    }
    if unknown:
        facts["unknown_codes"] = unknown
        notes.append(unknown_note(unknown))
    finish(corpus, CLASSIFICATION, args, splits, notes, extra_files, facts)


def _check(args: argparse.Namespace) -> None:
    if not args.labels and not args.record_labels:
        tables = ", ".join(sorted(path.stem for path in TABLES.glob("*.csv") if "weights" not in path.stem))
        raise ConfigError(f"name the classes with --labels ({tables}, or a file), or with --record-labels")
    if (args.label_column or args.class_columns) and not args.record_labels:
        raise ConfigError("--label-column and --class-columns are of a table; name it with --record-labels")
    if args.min_likelihood is not None and args.record_labels:
        raise ConfigError("--min-likelihood is about codes, but --record-labels takes their place")
    if args.leave_class_out and args.weights:
        raise ConfigError(
            "--weights are of all classes, but --leave-class-out leaves some out; take one away"
        )


def _files(labels: LabelTable, labels_path: Path | None, weights_path: Path | None) -> dict[str, str]:
    """The text of the label table and, if there are any, of the weights, by the names they get."""
    if labels_path is not None:
        files = {LABELS_FILE: labels_path.read_text(encoding="utf-8-sig")}
        beside = labels_path.with_name(f"{labels_path.stem}_weights.csv")
        weights_path = weights_path or (beside if beside.is_file() else None)
    else:
        files = {LABELS_FILE: format_labels(labels)}
    if weights_path is not None:
        read_weights(weights_path, labels)  # must fit; the file itself is copied
        files[WEIGHTS_FILE] = weights_path.read_text(encoding="utf-8-sig")
    return files


def count_classes(splits: Mapping[str, SegmentList], n_classes: int) -> dict[str, list[int]]:
    """Per split, the number of records of each class."""
    counts = {}
    for name, listing in splits.items():
        numbers = [0] * n_classes
        for target, n_records in Counter(target for _, _, target in listing.entries).items():
            for index in parse_target(target):
                numbers[index] += n_records
        counts[name] = numbers
    return counts


def count_unknown(corpus: Corpus, labels: LabelTable) -> dict[str, int]:
    """The codes that the label table does not have, and how many records have each; most records first."""
    counts = Counter(code for record in corpus.records for code in labels.unknown(record.codes))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def unknown_note(unknown: Mapping[str, int]) -> str:
    """A line that shows the codes of no class."""
    shown = ", ".join(f"{code} ({n:,})" for code, n in list(unknown.items())[:N_SHOWN])
    n_more = len(unknown) - N_SHOWN
    more = f", and {n_more:,} more in manifest.json" if n_more > 0 else ""
    return f"{len(unknown):,} codes are of no class (with their records): {shown}{more}"


def class_table(counts: Mapping[str, Sequence[int]], labels: LabelTable) -> list[str]:
    """Lines that show the records of each class and split."""
    lines = ["records of each class:" + "".join(f"{name:>8}" for name in counts)]
    for i, abbreviation in enumerate(labels.abbreviations):
        lines.append(
            f"  {i:>3} {abbreviation:16}" + "".join(f"{numbers[i]:>8,}" for numbers in counts.values())
        )
    untrained = [labels.abbreviations[i] for i, n in enumerate(counts.get("train", ())) if n == 0]
    if untrained:
        lines.append(f"note: no training record of {len(untrained)} classes: {', '.join(untrained)}")
    return lines


def _require_labels(corpus: Corpus, labels: LabelTable, path: Path) -> int:
    """The number of records of no class; an error where that is all of them."""
    n_unlabelled = sum(not labels.targets(record.codes) for record in corpus.records)
    if n_unlabelled == len(corpus.records):
        seen = sorted({code for record in corpus.records for code in record.codes})
        raise LabelError(
            f"{path}: none of the {n_unlabelled:,} records has a code of the table. "
            f"Codes in the store: {', '.join(seen[:10]) or 'none'}. Give the table that fits with --labels."
        )
    return n_unlabelled


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
