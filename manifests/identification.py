"""Identification manifests: training classes, and gallery and probe recordings of other patients.

Example:
    python manifests/identification.py STORE ... --dest manifests/id --test-sources ptb-xl --test-all
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fairseq_signals.commands.arguments import integer_from, share
from fairseq_signals.commands.manifest_arguments import script_main, stores_parser
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.building import finish, load_corpus, tail_note
from fairseq_signals.manifest.corpus import Corpus, CorpusRecord
from fairseq_signals.manifest.folder import IDENTIFICATION
from fairseq_signals.manifest.split_table import SPLITS
from fairseq_signals.manifest.splits import hash_order, split_keys


def build_parser() -> argparse.ArgumentParser:
    parser = stores_parser(__doc__)
    parser.add_argument(
        "--valid-fraction", type=share, default=0.1, help="share of the testable patients (default: 0.1)"
    )
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument(
        "--test-fraction", type=share, default=0.2, help="share of the testable patients (default: 0.2)"
    )
    how_many.add_argument(
        "--test-all",
        action="store_true",
        help="all testable patients are for testing, and validation takes as many others (as in the paper)",
    )
    parser.add_argument(
        "--test-sources",
        nargs="+",
        metavar="NAME",
        help="gallery and probe of the test are of these corpora (default: all)",
    )
    parser.add_argument(
        "--train-sources", nargs="+", metavar="NAME", help="classes are of these corpora (default: all)"
    )
    parser.add_argument(
        "--within-record",
        action="store_true",
        help="gallery and probe are two segments of one record (default: only where no patient has two)",
    )
    parser.add_argument(
        "--min-recordings",
        type=integer_from(1),
        default=1,
        help="fewest recordings of a training class (default: 1)",
    )
    parser.add_argument(
        "--segments-per-recording",
        type=integer_from(1),
        default=1,
        metavar="N",
        help="at most so many segments of a gallery or probe recording (default: 1)",
    )
    return parser


def build(args: argparse.Namespace) -> None:
    """Write `train.tsv` and a gallery and a probe manifest for validation and for test."""
    _check(args)
    corpus = load_corpus(args)
    patients = corpus.by_patient()
    held_out = choose_held_out(patients, corpus, args)
    splits = {"train": corpus.listing()}
    for split in SPLITS[1:]:
        if any(pair.split == split for pair in held_out.values()):
            splits.update({f"{split}_gallery": corpus.listing(), f"{split}_probe": corpus.listing()})
    train_sources = corpus.sources(args.train_sources, "--train-sources")
    n_classes = n_small = 0
    for patient, records in patients.items():  # sorted, so that a class is the rank of a training patient
        if patient in held_out:
            pair = held_out[patient]
            for side, (record, segments) in zip(("gallery", "probe"), pair.choose(args)):
                splits[f"{pair.split}_{side}"].add(record, segments=segments)
            continue
        records = [record for record in records if record.source in train_sources]
        if _is_class(records, corpus, args):
            for record in records:
                splits["train"].add(record, str(n_classes))
            n_classes += 1
        elif records:
            n_small += 1
    if n_classes < 2:
        raise ManifestError(f"{n_classes} training classes; at least 2 are needed. Give more records.")
    used = set().union(*(listing.records() for listing in splits.values()))
    more, too_little = "more of gallery and probe patients", "of patients with too little for a class"
    corpus.leave_out(lambda r: r.record_id not in used and r.patient_id in held_out, more)
    corpus.leave_out(lambda r: r.record_id not in used and r.source in train_sources, too_little)
    corpus.leave_out(lambda r: r.record_id not in used, "not of --train-sources")
    notes = [f"{n_classes:,} training classes; {n_small:,} patients have too little for a class"]
    within_record = {}
    for split in SPLITS[1:]:
        pairs = [pair for pair in held_out.values() if pair.split == split]
        if pairs:
            within_record[split] = pairs[0].within_record
            notes.append(f"{split}: {len(pairs):,} patients, so chance is {1 / len(pairs):.4f}")
            if within_record[split]:
                notes[-1] += "; gallery and probe are two segments of one record, not two sessions"
    notes.append(tail_note(corpus))
    facts = {"training_classes": n_classes, "within_record": within_record}
    finish(corpus, IDENTIFICATION, args, splits, notes, facts=facts)


class Pair(NamedTuple):
    """A patient whom a model must recognise.

    Args:
        split: "valid" or "test".
        records: of whose segments gallery and probe are.
        segment_samples: length of a segment.
        within_record: whether they are two segments of one record, rather than of two.
    """

    split: str
    records: Sequence[CorpusRecord]
    segment_samples: int
    within_record: bool

    def choose(self, args: argparse.Namespace) -> list[tuple[CorpusRecord, Sequence[int]]]:
        """The record and the segments of gallery and of probe, drawn by the seed."""
        by_id = {record.record_id: record for record in self.records}
        if not self.within_record:
            both = [by_id[name] for name in hash_order(by_id, args.seed)[:2]]
            n_segments = [record.n_samples // self.segment_samples for record in both]
            return [(r, range(min(n, args.segments_per_recording))) for r, n in zip(both, n_segments)]
        long_enough = [name for name, r in by_id.items() if r.n_samples >= 2 * self.segment_samples]
        record = by_id[hash_order(long_enough, args.seed)[0]]
        segments = range(record.n_samples // self.segment_samples)
        names = {f"{record.record_id}#{k}": k for k in segments}
        return [(record, [names[name]]) for name in hash_order(names, args.seed)[:2]]


def choose_held_out(
    patients: Mapping[str, Sequence[CorpusRecord]], corpus: Corpus, args: argparse.Namespace
) -> dict[str, Pair]:
    """The patients for validation and test."""
    sources = corpus.sources(args.test_sources, "--test-sources")
    of_sources = {p: [r for r in records if r.source in sources] for p, records in patients.items()}
    within_record = args.within_record
    testable = _testable(of_sources, corpus, within_record)
    if not testable and not within_record and not args.test_all:  # a corpus without sessions
        within_record = True
        testable = _testable(of_sources, corpus, within_record)
    if not testable:
        n_patients = sum(bool(records) for records in of_sources.values())
        raise ManifestError(
            "gallery and probe take two recordings, or a record of two segments; "
            f"none of the {n_patients:,} patients has that"
        )
    if args.test_all:
        return _all_for_test(testable, patients, corpus, args)
    shares = {
        "train": 1 - args.valid_fraction - args.test_fraction,
        "valid": args.valid_fraction,
        "test": args.test_fraction,
    }
    split_of = split_keys(testable, shares, args.seed)
    return {
        patient: Pair(split, testable[patient], corpus.segment_samples, within_record)
        for patient, split in split_of.items()
        if split != "train"
    }


def _all_for_test(
    testable: Mapping[str, Sequence[CorpusRecord]],
    patients: Mapping[str, Sequence[CorpusRecord]],
    corpus: Corpus,
    args: argparse.Namespace,
) -> dict[str, Pair]:
    """All testable patients for the test; for validation as many others as asked for.

    These have two sessions if there are enough of them, else two segments of one record.
    """
    n = corpus.segment_samples
    held_out = {p: Pair("test", records, n, args.within_record) for p, records in testable.items()}
    n_valid = round(args.valid_fraction * len(testable))
    if args.valid_fraction > 0:
        n_valid = max(2, n_valid)  # of one patient every probe is right
    others = {patient: records for patient, records in patients.items() if patient not in testable}
    for within_record in (False, True):
        candidates = _testable(others, corpus, within_record)
        if len(candidates) >= n_valid:
            chosen = hash_order(candidates, args.seed)[:n_valid]
            return {**held_out, **{p: Pair("valid", candidates[p], n, within_record) for p in chosen}}
    raise ManifestError(
        f"--test-all takes {len(testable):,} patients, and of the others only {len(candidates):,} can be for "
        f"validation, not {n_valid:,}. Give more records, or a smaller --valid-fraction."
    )


def _check(args: argparse.Namespace) -> None:
    if not args.test_all and not 0 < args.valid_fraction + args.test_fraction < 1:
        raise ConfigError(
            "--valid-fraction and --test-fraction must leave patients to train on, and to test on"
        )


def _testable(
    patients: Mapping[str, Sequence[CorpusRecord]], corpus: Corpus, within_record: bool
) -> dict[str, Sequence[CorpusRecord]]:
    """The patients with enough for gallery and probe."""
    n = 2 * corpus.segment_samples
    if within_record:
        return {p: rs for p, rs in patients.items() if any(r.n_samples >= n for r in rs)}
    return {p: rs for p, rs in patients.items() if len(rs) >= 2}


def _is_class(records: Sequence[CorpusRecord], corpus: Corpus, args: argparse.Namespace) -> bool:
    """Whether the patient has enough for a class: a class of one segment has nothing to be told apart by."""
    n_segments = sum(record.n_samples // corpus.segment_samples for record in records)
    return len(records) >= args.min_recordings and n_segments >= 2


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
