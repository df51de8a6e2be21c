"""Identification manifests: training classes, and gallery and probe recordings of other patients.

Example:
    python manifests/identification.py STORE ... --dest manifests/id --test-sources ptb-xl --test-all
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fairseq_signals.commands.arguments import integer_from, share
from fairseq_signals.commands.manifest_arguments import script_main, stores_parser
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.building import finish, load_corpus, tail_note
from fairseq_signals.manifest.corpus import Corpus, CorpusRecord
from fairseq_signals.manifest.folder import IDENTIFICATION
from fairseq_signals.manifest.sessions import (
    ACQUIRED,
    PROTOCOLS,
    TIMES,
    TWO_RECORDINGS,
    WITHIN_SESSION,
    days_of,
    parse_time,
)
from fairseq_signals.manifest.split_table import SPLITS
from fairseq_signals.manifest.splits import hash_order, split_keys

Chosen = tuple[CorpusRecord, Sequence[int]]


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
    protocol = parser.add_mutually_exclusive_group()
    protocol.add_argument(
        "--protocol",
        choices=(TWO_RECORDINGS, *PROTOCOLS, WITHIN_SESSION),
        default=TWO_RECORDINGS,
        help="which recordings are gallery and probe: two that the seed draws, or by the day when they were "
        "taken the first and the next or the last, or all before the last; or two segments of one record "
        f"(default: {TWO_RECORDINGS}, and {WITHIN_SESSION} where no patient has two)",
    )
    protocol.add_argument(
        "--within-record", action="store_true", help=f"the same as --protocol {WITHIN_SESSION}"
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
    corpus = load_corpus(args, attributes=[ACQUIRED] if args.protocol in PROTOCOLS else [])
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
            for side, chosen in zip(("gallery", "probe"), pair.choose(corpus, args)):
                for record, segments in chosen:
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
    protocols = {pair.split: pair.protocol for pair in held_out.values()}
    for split in sorted(protocols, key=SPLITS.index):
        n_patients = sum(pair.split == split for pair in held_out.values())
        notes.append(f"{split}: {n_patients:,} patients, so chance is {1 / n_patients:.4f}")
        if protocols[split] == WITHIN_SESSION:
            notes[-1] += "; gallery and probe are two segments of one record, not two sessions"
        elif protocols[split] in PROTOCOLS:
            notes[-1] += f"; gallery and probe are of different days ({protocols[split]})"
    notes.append(tail_note(corpus))
    within_record = {split: name == WITHIN_SESSION for split, name in protocols.items()}
    facts = {"training_classes": n_classes, "within_record": within_record, "protocols": protocols}
    finish(corpus, IDENTIFICATION, args, splits, notes, facts=facts)


class Pair(NamedTuple):
    """A patient whom a model must recognise.

    Args:
        split: "valid" or "test".
        records: of whose segments gallery and probe are.
        segment_samples: length of a segment.
        protocol: how they are chosen.
    """

    split: str
    records: Sequence[CorpusRecord]
    segment_samples: int
    protocol: str

    def choose(self, corpus: Corpus, args: argparse.Namespace) -> Iterator[Sequence[Chosen]]:
        """The records and their segments of gallery and of probe; what time does not tell, the seed draws."""
        by_id = {record.record_id: record for record in self.records}
        if self.protocol == WITHIN_SESSION:
            long_enough = [name for name, r in by_id.items() if r.n_samples >= 2 * self.segment_samples]
            record = by_id[hash_order(long_enough, args.seed)[0]]
            segments = range(record.n_samples // self.segment_samples)
            names = {f"{record.record_id}#{k}": k for k in segments}
            yield from ([(record, [names[name]])] for name in hash_order(names, args.seed)[:2])
            return
        if self.protocol in PROTOCOLS:
            sides = PROTOCOLS[self.protocol](_days(self.records, corpus))
        else:
            first, second = hash_order(by_id, args.seed)[:2]
            sides = [first], [second]
        for side in sides:
            n_segments = {name: by_id[name].n_samples // self.segment_samples for name in side}
            most = args.segments_per_recording
            yield [(by_id[name], range(min(n, most))) for name, n in n_segments.items()]


def choose_held_out(
    patients: Mapping[str, Sequence[CorpusRecord]], corpus: Corpus, args: argparse.Namespace
) -> dict[str, Pair]:
    """The patients for validation and test."""
    sources = corpus.sources(args.test_sources, "--test-sources")
    of_sources = {p: [r for r in records if r.source in sources] for p, records in patients.items()}
    protocol = WITHIN_SESSION if args.within_record else args.protocol
    testable = _testable(of_sources, corpus, protocol)
    if not testable and protocol == TWO_RECORDINGS and not args.test_all:  # a corpus without sessions
        protocol = WITHIN_SESSION
        testable = _testable(of_sources, corpus, protocol)
    if not testable:
        n_patients = sum(bool(records) for records in of_sources.values())
        what = "two recordings, or a record of two segments"
        if protocol in PROTOCOLS:
            n_dated = sum(parse_time(text) is not None for text in corpus.attributes[ACQUIRED].values())
            known = f"of {n_dated:,} of {len(corpus.records):,} records, by attributes {', '.join(TIMES)}"
            what = f"recordings of two days, which are known {known}"
        raise ManifestError(f"gallery and probe take {what}; none of the {n_patients:,} patients has that")
    if args.test_all:
        return _all_for_test(testable, patients, corpus, protocol, args)
    shares = {
        "train": 1 - args.valid_fraction - args.test_fraction,
        "valid": args.valid_fraction,
        "test": args.test_fraction,
    }
    split_of = split_keys(testable, shares, args.seed)
    return {
        patient: Pair(split, testable[patient], corpus.segment_samples, protocol)
        for patient, split in split_of.items()
        if split != "train"
    }


def _all_for_test(
    testable: Mapping[str, Sequence[CorpusRecord]],
    patients: Mapping[str, Sequence[CorpusRecord]],
    corpus: Corpus,
    protocol: str,
    args: argparse.Namespace,
) -> dict[str, Pair]:
    """All testable patients for the test; for validation as many others as asked for.

    These have two sessions if there are enough of them, else two segments of one record.
    """
    n = corpus.segment_samples
    held_out = {p: Pair("test", records, n, protocol) for p, records in testable.items()}
    n_valid = round(args.valid_fraction * len(testable))
    if args.valid_fraction > 0:
        n_valid = max(2, n_valid)  # of one patient every probe is right
    others = {patient: records for patient, records in patients.items() if patient not in testable}
    for other in (TWO_RECORDINGS if protocol == WITHIN_SESSION else protocol, WITHIN_SESSION):
        candidates = _testable(others, corpus, other)
        if len(candidates) >= n_valid:
            chosen = hash_order(candidates, args.seed)[:n_valid]
            return {**held_out, **{p: Pair("valid", candidates[p], n, other) for p in chosen}}
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
    patients: Mapping[str, Sequence[CorpusRecord]], corpus: Corpus, protocol: str
) -> dict[str, Sequence[CorpusRecord]]:
    """The patients with enough for gallery and probe."""
    if protocol == WITHIN_SESSION:
        n = 2 * corpus.segment_samples
        return {p: rs for p, rs in patients.items() if any(r.n_samples >= n for r in rs)}
    several = {p: rs for p, rs in patients.items() if len(rs) >= 2}
    if protocol == TWO_RECORDINGS:
        return several
    return {p: rs for p, rs in several.items() if len(_days(rs, corpus)) >= 2}


def _days(records: Sequence[CorpusRecord], corpus: Corpus) -> list[list[str]]:
    """The records of each day, in the order of time, as far as it is known."""
    texts = corpus.attributes[ACQUIRED]
    times = {r.record_id: parse_time(texts.get(r.record_id)) for r in records}
    return days_of({name: time for name, time in times.items() if time})


def _is_class(records: Sequence[CorpusRecord], corpus: Corpus, args: argparse.Namespace) -> bool:
    """Whether the patient has enough for a class: a class of one segment has nothing to be told apart by."""
    n_segments = sum(record.n_samples // corpus.segment_samples for record in records)
    return len(records) >= args.min_recordings and n_segments >= 2


main = script_main(build_parser, build)

if __name__ == "__main__":
    sys.exit(main())
