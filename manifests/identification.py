"""Identification manifests: training classes, and gallery and probe recordings of other patients.

Example:
    python manifests/identification.py STORE --dest manifests/id --sources ptbxl
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fairseq_signals.data.manifest import Row
from fairseq_signals.data.manifest_build import (
    Corpus,
    Recording,
    add_common_arguments,
    finish,
    load_corpus,
    run_script,
    tail_note,
)
from fairseq_signals.data.manifest_set import IDENTIFICATION
from fairseq_signals.data.splits import hash_order, split_keys
from fairseq_signals.errors import ConfigError, ManifestError


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument(
        "--valid-fraction", type=float, default=0.1, help="share of the testable patients (default: 0.1)"
    )
    parser.add_argument(
        "--test-fraction", type=float, default=0.2, help="share of the testable patients (default: 0.2)"
    )
    parser.add_argument(
        "--within-record",
        action="store_true",
        help="gallery and probe are two segments of one record (default: only where no patient has two)",
    )
    parser.add_argument(
        "--min-recordings", type=int, default=1, help="fewest recordings of a training class (default: 1)"
    )
    parser.add_argument(
        "--segments-per-recording",
        type=int,
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
    testable = [patient for patient, recordings in patients.items() if _is_testable(recordings, corpus, args)]
    if not testable and not args.within_record:  # a corpus without sessions
        args.within_record = True
        testable = [p for p, recordings in patients.items() if _is_testable(recordings, corpus, args)]
    if not testable:
        raise ManifestError(
            "gallery and probe take two recordings, or a record of two segments; "
            f"none of the {len(patients):,} patients has that"
        )
    shares = {
        "train": 1 - args.valid_fraction - args.test_fraction,
        "valid": args.valid_fraction,
        "test": args.test_fraction,
    }
    split_of = split_keys(testable, shares, args.seed)
    splits: dict[str, list[Row]] = {"train": []}
    for split in ("valid", "test"):
        if shares[split] > 0:
            splits.update({f"{split}_gallery": [], f"{split}_probe": []})
    n_classes = n_small = 0
    for patient, recordings in patients.items():  # sorted, so that a class is the rank of a training patient
        split = split_of.get(patient, "train")
        if split != "train":
            gallery, probe = choose_pair(recordings, corpus.segment_samples, args)
            splits[f"{split}_gallery"] += gallery
            splits[f"{split}_probe"] += probe
        elif _is_class(recordings, corpus, args):
            for recording in recordings:
                splits["train"] += recording.segments(corpus.segment_samples, str(n_classes))
            n_classes += 1
        else:
            n_small += 1
    if n_classes < 2:
        raise ManifestError(f"{n_classes} training classes; at least 2 are needed. Give more records.")
    used = {row.record_id for rows in splits.values() for row in rows}

    def reason(recording: Recording) -> str | None:
        if recording.record_id in used:
            return None
        held_out = split_of.get(recording.patient_id, "train") != "train"
        return "more of gallery and probe patients" if held_out else "of patients with too little for a class"

    corpus.leave_out(reason)
    notes = [f"{n_classes:,} training classes; {n_small:,} patients have too little for a class"]
    for split in ("valid", "test"):
        n_patients = sum(value == split for value in split_of.values())
        if n_patients:
            notes.append(f"{split}: {n_patients:,} patients, so chance is {1 / n_patients:.4f}")
    if args.within_record:
        notes.append("gallery and probe are two segments of one record, not two sessions")
    notes.append(tail_note(corpus))
    finish(corpus, IDENTIFICATION, args, splits, notes, facts={"training_classes": n_classes})


def choose_pair(
    recordings: Sequence[Recording], n_samples: int, args: argparse.Namespace
) -> tuple[list[Row], list[Row]]:
    """Gallery and probe rows of one patient: of two recordings, or of two segments of one recording."""
    by_id = {recording.record_id: recording for recording in recordings}
    if args.within_record:
        by_id = {name: r for name, r in by_id.items() if r.n_samples >= 2 * n_samples}
        recording = by_id[hash_order(by_id, args.seed)[0]]
        rows = {row.path: row for row in recording.segments(n_samples)}
        names = {f"{recording.record_id}#{row.segment}": path for path, row in rows.items()}
        first, second = (rows[names[name]] for name in hash_order(names, args.seed)[:2])
        return [first], [second]
    first_id, second_id = hash_order(by_id, args.seed)[:2]
    most = args.segments_per_recording
    return by_id[first_id].segments(n_samples)[:most], by_id[second_id].segments(n_samples)[:most]


def _check(args: argparse.Namespace) -> None:
    for option, fraction in (
        ("--valid-fraction", args.valid_fraction),
        ("--test-fraction", args.test_fraction),
    ):
        if not 0 <= fraction < 1:
            raise ConfigError(f"{option} must be from 0 to below 1, but is {fraction:g} instead")
    if not 0 < args.valid_fraction + args.test_fraction < 1:
        raise ConfigError(
            "--valid-fraction and --test-fraction must leave patients to train on, and to test on"
        )
    for option in ("min_recordings", "segments_per_recording"):
        if getattr(args, option) < 1:
            raise ConfigError(
                f"--{option.replace('_', '-')} must be 1 or more, but is {getattr(args, option)}"
            )


def _is_testable(recordings: Sequence[Recording], corpus: Corpus, args: argparse.Namespace) -> bool:
    if args.within_record:
        return any(recording.n_samples >= 2 * corpus.segment_samples for recording in recordings)
    return len(recordings) >= 2


def _is_class(recordings: Sequence[Recording], corpus: Corpus, args: argparse.Namespace) -> bool:
    """Whether the patient has enough for a class: a class of one segment has nothing to be told apart by."""
    n_segments = sum(recording.n_samples // corpus.segment_samples for recording in recordings)
    return len(recordings) >= args.min_recordings and n_segments >= 2


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run_script(lambda: build(args))


if __name__ == "__main__":
    sys.exit(main())
