"""`fairseq-signals identify`: whose recording each is, by the most similar enrolled one."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq_signals.arguments import integer_from, number
from fairseq_signals.model_arguments import RECORDS, add_model, add_use


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Rank the patients of a gallery by the similarity of their recordings to each probe. "
        "With "
        "--false-match-rate, a match is accepted from the similarity that at most this share of the pairs of "
        "different patients of the gallery reaches; with --threshold, from that similarity.",
    )
    add_model(parser, "fine-tuned identification model")
    parser.add_argument(
        "--gallery",
        nargs="+",
        required=True,
        metavar="RECORDS",
        help="enrolled recordings: a folder with a folder a patient, or with --patients " + RECORDS,
    )
    parser.add_argument("--probe", nargs="+", required=True, metavar="RECORDS", help="recordings to identify")
    parser.add_argument(
        "--patients",
        type=Path,
        metavar="FILE.csv",
        help="whose the enrolled recordings are: columns record, patient",
    )
    parser.add_argument(
        "--top", type=integer_from(1), default=5, metavar="K", help="ranks (default: %(default)s)"
    )
    accept = parser.add_mutually_exclusive_group()
    accept.add_argument("--false-match-rate", type=number(0, 1, low_included=False), metavar="RATE")
    accept.add_argument("--threshold", type=number(-1, 1), metavar="COSINE")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write here (default: print)")
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Identify and write; the exit code is 0."""
    args = build_parser(prog).parse_args(argv)
    from fairseq_signals.errors import CheckpointError
    from fairseq_signals.evaluation.results import write_atomically
    from fairseq_signals.inference.listing import list_recordings, patients_of
    from fairseq_signals.inference.model import ECGModel

    enrolled, probes = list_recordings(args.gallery), list_recordings(args.probe)
    patients = patients_of(enrolled, args.patients)
    model = ECGModel.load(args.checkpoint, device=args.device)
    if model.kind != "identification":
        raise CheckpointError(
            f"{args.checkpoint}: identification takes an identification model, not {model.kind}"
        )
    sources = [named.source for named in enrolled]
    gallery = model.enroll(sources, patients, leads=args.leads, batch_size=args.batch_size)
    limit = args.threshold
    if args.false_match_rate is not None:
        limit = gallery.false_match_threshold(args.false_match_rate)
    gallery = gallery.with_threshold(limit)
    sources = [named.source for named in probes]
    matches = model.predict(
        sources, leads=args.leads, gallery=gallery, top=args.top, batch_size=args.batch_size
    )
    lines = [["record", "rank", "patient", "similarity", "accepted"]]
    for named, match in zip(probes, matches):
        for rank, (patient, similarity) in enumerate(match.ranked, 1):
            accepted = "" if limit is None else str(int(similarity >= limit))
            lines.append([named.name, str(rank), str(patient), f"{similarity:.6f}", accepted])
    note = f"{len(enrolled)} recordings of {gallery.n_patients} patients enrolled, {len(probes)} probes"
    print(note + ("" if limit is None else f", accepted from {limit:.4f}"), file=sys.stderr)
    if args.out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
        return 0
    rows: list[str] = []
    csv.writer(_Appending(rows), lineterminator="\n").writerows(lines)
    write_atomically(args.out, rows)
    print(f"wrote {args.out}")
    return 0


class _Appending:
    """A file whose writes go to a list."""

    def __init__(self, rows: list[str]):
        self.rows = rows

    def write(self, text: str) -> None:
        self.rows.append(text)


if __name__ == "__main__":
    sys.exit(main())
