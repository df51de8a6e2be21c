"""`fairseq-signals identify`: whose each recording is, or whether it is of whom it is said to be of."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairseq_signals.commands.arguments import (
    RECORDS,
    add_as_norm,
    add_model,
    integer_from,
    number,
    read_arguments,
    require_out,
    some_path,
    some_place,
)
from fairseq_signals.commands.model_arguments import add_use, input_arguments
from fairseq_signals.errors import ConfigError, FairseqSignalsError
from fairseq_signals.metrics.identification import AS_NORM_TOP

if TYPE_CHECKING:
    import numpy as np

    from fairseq_signals.inference.gallery import Gallery
    from fairseq_signals.inference.listing import ListedRecording
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.results import Verification


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Rank the patients of a gallery by the similarity of their recordings to each probe. "
        "With --false-match-rate, a match is accepted from the similarity that at most this share of the "
        "pairs of different patients of the gallery reaches; with --threshold, from that similarity. With "
        "--claims, tell whether each recording is of the patient it is said to be of. What "
        "cannot be used is listed with the reason, with --out in OUT.rejected.tsv; the exit code is 1 if "
        "nothing of the gallery or of the probes can, or if a library is missing.",
    )
    add_model(parser, "identification model, or another whose embeddings are compared")
    parser.add_argument(
        "--gallery",
        nargs="+",
        type=some_place,
        required=True,
        metavar="RECORDS",
        help="enrolled recordings: a folder with a folder a patient, a record store or manifest that names "
        "its patients, or with --patients " + RECORDS,
    )
    parser.add_argument(
        "--probe", nargs="+", type=some_place, required=True, metavar="RECORDS", help="recordings to identify"
    )
    parser.add_argument(
        "--patients",
        type=some_path,
        metavar="FILE.csv",
        help="whose the enrolled recordings are: columns record, patient",
    )
    parser.add_argument(
        "--claims",
        type=some_path,
        metavar="FILE.csv",
        help="whom probes are said to be of: columns record, patient; each is compared with this patient's "
        "recordings, and accepted by the most similar one",
    )
    parser.add_argument(
        "--prevalence",
        type=number(0, 1, low_included=False, high_included=False),
        metavar="SHARE",
        help="with --claims, tell what a rejection means where this share of all claims is wrong",
    )
    parser.add_argument(
        "--cohort",
        nargs="+",
        type=some_place,
        default=(),
        metavar="RECORDS",
        help="recordings of people who are not enrolled, for --as-norm",
    )
    add_as_norm(parser, "with the people of --cohort")
    parser.add_argument(
        "--top", type=integer_from(1), default=5, metavar="K", help="ranks (default: %(default)s)"
    )
    accept = parser.add_mutually_exclusive_group()
    accept.add_argument("--false-match-rate", type=number(0, 1, low_included=False), metavar="RATE")
    accept.add_argument(
        "--threshold",
        type=number(-1e3, 1e3),
        metavar="COSINE",
        help="a cosine, or with --as-norm a normalised one",
    )
    parser.add_argument("--out", type=some_path, metavar="FILE.csv", help="write here (default: print)")
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Identify or verify, and write; the exit code is 1 if nothing was compared, or a library is missing."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    _check(parser, args)
    from fairseq_signals.ecg.leads import parse_leads
    from fairseq_signals.files import write_text
    from fairseq_signals.inference.bulk import note_rejected, vectors_of
    from fairseq_signals.inference.claims import claim_rows, read_claims
    from fairseq_signals.inference.gallery import enrolled
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.patients import odd_about, patients_of
    from fairseq_signals.safety.text import csv_lines, tell

    parse_leads(args.leads)
    recordings, probes = list_recordings(args.gallery), list_recordings(args.probe)
    cohort = list_recordings(args.cohort)
    listed = [named for named in recordings if not isinstance(named.source, FairseqSignalsError)]
    if not listed:
        raise recordings[0].source
    patients = dict(zip((named.name for named in listed), patients_of(listed, args.patients)))
    claims = read_claims(args.claims, probes, list(patients.values())) if args.claims else {}
    claimed = [named for named in probes if named.name in claims or not args.claims]
    if len(claimed) < len(probes):
        tell(f"note: {len(probes) - len(claimed)} of {len(probes)} probes have no claim: not compared")
    odd = odd_about(list(patients.values()))
    if odd is not None:
        tell(f"warning: {odd}")
    model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
    if model.kind != "identification":
        tell(f"note: {args.checkpoint} is of {model.kind}: nothing in its training tells people apart")
    rejected: list[tuple[str, FairseqSignalsError]] = []
    how = (args.leads, args.batch_size, read_arguments(args), rejected)
    known, known_rows = vectors_of(model, recordings, *how)
    names, rows = vectors_of(model, claimed, *how) if known else ([], [])
    if not names:
        note_rejected(args.out, rejected)
        which = "probe" if known else "recording of the gallery"
        print(f"no {which} could be used, nothing was identified", file=sys.stderr)
        return 1
    gallery = enrolled(known_rows, [patients[name] for name in known], known, model.fingerprint)
    if cohort:
        people = _people(model, cohort, how, set(patients.values()))
        gallery = gallery.with_cohort(people, args.as_norm or AS_NORM_TOP)
    limit = args.threshold
    if args.false_match_rate is not None:
        limit = gallery.false_match_threshold(args.false_match_rate)
    gallery = gallery.with_threshold(limit)
    note = f"{len(known)} recordings of {gallery.n_patients} patients enrolled, {len(names)} probes"
    print(note + ("" if limit is None else f", accepted from {limit:.4f}"), file=sys.stderr)
    n_compared = len(names)
    if args.claims:
        verified = _verify(gallery, rows, names, claims, recordings, claimed)
        lines = list(claim_rows(claims, verified, dict(rejected), limit))
        n_compared = sum(found.n_recordings > 0 for found in verified.values())
    else:
        lines = list(_ranks(gallery, rows, names, args.top))
    if args.prevalence is not None:
        tell(_meaning(gallery, args.prevalence))
    if args.out is None:
        sys.stdout.writelines(csv_lines(lines))
    else:
        write_text(args.out, csv_lines(lines))
        print(f"wrote {args.out}")
    if not n_compared:
        print("no claim could be compared", file=sys.stderr)
    return note_rejected(args.out, rejected) or int(not n_compared)


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse options that mean nothing without others."""
    require_out(parser, args.out)
    decides = args.threshold is not None or args.false_match_rate is not None
    if args.prevalence is not None and not (args.claims and decides):
        parser.error("--prevalence needs --claims, and --false-match-rate or --threshold")
    if args.as_norm and not args.cohort:
        parser.error("--as-norm needs --cohort")
    if not args.cohort and args.threshold is not None and not -1 <= args.threshold <= 1:
        parser.error(f"--threshold: must be a number from -1 to 1, but is {args.threshold:g}")


def _ranks(gallery: Gallery, rows: Any, names: Sequence[str], top: int) -> Iterator[list[str]]:
    """The lines of a table of the most similar patients of each probe."""
    yield ["record", "rank", "patient", "similarity", "accepted"]
    for match in gallery.match(rows, names, top):
        for rank, (patient, similarity) in enumerate(match.ranked, 1):
            accepted = "" if gallery.threshold is None else str(int(similarity >= gallery.threshold))
            yield [match.record_id, str(rank), patient, f"{similarity:.6f}", accepted]


def _verify(
    gallery: Gallery,
    rows: Any,
    names: Sequence[str],
    claims: Mapping[str, str],
    recordings: Sequence[ListedRecording],
    probes: Sequence[ListedRecording],
) -> dict[str, Verification]:
    """What the gallery says of each claim; a recording that is enrolled is not compared with itself."""
    from fairseq_signals.inference.claims import place_of

    entry = {name: i for i, name in enumerate(gallery.record_ids)}
    there = {place_of(named.source): entry.get(named.name, -1) for named in recordings}
    itself = {named.name: there.get(place_of(named.source), -1) for named in probes}
    found = gallery.verify(rows, [claims[name] for name in names], names, [itself[name] for name in names])
    return {result.record_id: result for result in found}


def _meaning(gallery: Gallery, prevalence: float) -> str:
    """What a rejection means where few claims are wrong, as far as the gallery tells."""
    errors = gallery.claim_errors()
    told = f"note: in the gallery {errors.false_match:.2%} of {errors.n_impostor:,} wrong claims are accepted"
    if not errors.n_genuine:
        return f"{told}; no patient has two recordings: how many right ones are rejected is not known"
    told += f", and {errors.false_non_match:.2%} of {errors.n_genuine:,} right ones rejected"
    shares = " and ".join(
        f"{share:.2%} of those that are {what}" if share == share else f"none is {what}"
        for what, share in zip(("rejected", "accepted"), errors.at(prevalence))
    )
    return f"{told}; where {prevalence:.2%} of all claims are wrong, they are {shares}"


def _people(
    model: ECGModel,
    cohort: Sequence[ListedRecording],
    how: tuple[Any, ...],
    enrolled: Collection[str],
) -> np.ndarray:
    """A mean embedding of each person of the cohort, (C, D); of nobody who is enrolled."""
    from fairseq_signals.inference.bulk import vectors_of
    from fairseq_signals.metrics.identification import mean_by_record
    from fairseq_signals.safety.text import tell

    others = [named for named in cohort if named.patient not in enrolled]
    if len(others) < len(cohort):
        tell(f"note: {len(cohort) - len(others)} recordings of the cohort are of enrolled patients: left out")
    names, rows = vectors_of(model, others, *how)
    if not names:
        raise ConfigError("--cohort: no recording of somebody who is not enrolled could be used")
    whose = {named.name: named.patient or named.name for named in others}
    return mean_by_record(rows, [whose[name] for name in names])[0]
