"""`fairseq-signals identify`: whose recording each is, by the most similar enrolled one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairseq_signals.commands.arguments import (
    RECORDS,
    add_model,
    integer_from,
    number,
    read_arguments,
    require_out,
    some_path,
    some_place,
)
from fairseq_signals.commands.model_arguments import add_use, input_arguments
from fairseq_signals.errors import CheckpointError, FairseqSignalsError

if TYPE_CHECKING:
    import numpy as np

    from fairseq_signals.inference.listing import ListedRecording
    from fairseq_signals.inference.model import ECGModel


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Rank the patients of a gallery by the similarity of their recordings to each probe. "
        "With --false-match-rate, a match is accepted from the similarity that at most this share of the "
        "pairs of different patients of the gallery reaches; with --threshold, from that similarity. What "
        "cannot be used is listed with the reason, with --out in OUT.rejected.tsv; the exit code is 1 if "
        "nothing of the gallery or of the probes can, or if a library is missing.",
    )
    add_model(parser, "fine-tuned identification model")
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
        "--top", type=integer_from(1), default=5, metavar="K", help="ranks (default: %(default)s)"
    )
    accept = parser.add_mutually_exclusive_group()
    accept.add_argument("--false-match-rate", type=number(0, 1, low_included=False), metavar="RATE")
    accept.add_argument("--threshold", type=number(-1, 1), metavar="COSINE")
    parser.add_argument("--out", type=some_path, metavar="FILE.csv", help="write here (default: print)")
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Identify and write; the exit code is 1 if no gallery or no probe is left, or a library is missing."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.out)
    from fairseq_signals.ecg.leads import parse_leads
    from fairseq_signals.files import write_text
    from fairseq_signals.inference.bulk import note_rejected
    from fairseq_signals.inference.gallery import enrolled
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.patients import odd_about, patients_of
    from fairseq_signals.safety.text import csv_lines, tell

    parse_leads(args.leads)
    recordings, probes = list_recordings(args.gallery), list_recordings(args.probe)
    listed = [named for named in recordings if not isinstance(named.source, FairseqSignalsError)]
    if not listed:
        raise recordings[0].source
    patients = dict(zip((named.name for named in listed), patients_of(listed, args.patients)))
    odd = odd_about(list(patients.values()))
    if odd is not None:
        tell(f"warning: {odd}")
    model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
    if model.kind != "identification":
        raise CheckpointError(
            f"{args.checkpoint}: identification takes an identification model, not {model.kind}"
        )
    rejected: list[tuple[str, FairseqSignalsError]] = []
    known, known_rows = _embeddings(model, recordings, args, rejected)
    names, rows = _embeddings(model, probes, args, rejected) if known else ([], [])
    if not names:
        note_rejected(args.out, rejected)
        which = "probe" if known else "recording of the gallery"
        print(f"no {which} could be used, nothing was identified", file=sys.stderr)
        return 1
    gallery = enrolled(known_rows, [patients[name] for name in known], known, model.fingerprint)
    limit = args.threshold
    if args.false_match_rate is not None:
        limit = gallery.false_match_threshold(args.false_match_rate)
    lines = [["record", "rank", "patient", "similarity", "accepted"]]
    for match in gallery.with_threshold(limit).match(rows, names, args.top):
        for rank, (patient, similarity) in enumerate(match.ranked, 1):
            accepted = "" if limit is None else str(int(similarity >= limit))
            lines.append([match.record_id, str(rank), patient, f"{similarity:.6f}", accepted])
    note = f"{len(known)} recordings of {gallery.n_patients} patients enrolled, {len(names)} probes"
    print(note + ("" if limit is None else f", accepted from {limit:.4f}"), file=sys.stderr)
    if args.out is None:
        sys.stdout.writelines(csv_lines(lines))
        return note_rejected(None, rejected)
    write_text(args.out, csv_lines(lines))
    print(f"wrote {args.out}")
    return note_rejected(args.out, rejected)


def _embeddings(
    model: ECGModel,
    recordings: Sequence[ListedRecording],
    args: argparse.Namespace,
    rejected: list[tuple[str, FairseqSignalsError]],
) -> tuple[list[str], list[np.ndarray]]:
    """The names and embeddings of the recordings that can be used; the others, with the reason, to a list."""
    from fairseq_signals.inference.bulk import stream_named

    names, rows = [], []
    for name, found in stream_named(
        model, recordings, args.leads, ("embedding",), args.batch_size, read_arguments(args)
    ):
        if isinstance(found, FairseqSignalsError):
            rejected.append((name, found))
        else:
            names.append(name)
            rows.append(found.embedding)
    return names, rows
