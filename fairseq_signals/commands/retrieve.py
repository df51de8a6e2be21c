"""`fairseq-signals retrieve`: the nearest recordings of a base, their reports, a vote over their codes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fairseq_signals.commands.arguments import (
    RECORDS,
    add_model,
    integer_from,
    read_arguments,
    require_out,
    some_path,
    some_place,
)
from fairseq_signals.commands.model_arguments import add_use, input_arguments
from fairseq_signals.errors import FairseqSignalsError

if TYPE_CHECKING:
    from fairseq_signals.inference.listing import ListedRecording
    from fairseq_signals.inference.retrieval import Retrieved

FORMATS = TEXT, JSON, PROMPT = "text", "json", "prompt"


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="For each query, the recordings of a base whose vectors are nearest to its own, with "
        "their reports and codes, and the share of them that have each code. Recordings of the query's "
        "patient are left out, where folders, stores, manifests or --patients say whose it is, and so is the "
        "query itself. Of a model of ECGs and texts the vectors are those that it compares with texts, of "
        "others embeddings.",
    )
    add_model(parser, "any model")
    parser.add_argument(
        "--base",
        nargs="+",
        type=some_place,
        required=True,
        metavar="RECORDS",
        help="recordings with reports or codes: " + RECORDS,
    )
    parser.add_argument(
        "--query", nargs="+", type=some_place, required=True, metavar="RECORDS", help="recordings to ask for"
    )
    parser.add_argument(
        "--patients",
        type=some_path,
        metavar="FILE.csv",
        help="whose the queries are, as the base calls them: columns record, patient",
    )
    parser.add_argument(
        "--k", type=integer_from(1), default=5, metavar="K", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--labels",
        type=some_path,
        metavar="FILE.csv",
        help="a label table: say its classes in place of codes",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=TEXT,
        help="for people; a JSON list; or what a language model would be given to decide with, which is "
        "written, and sent nowhere (default: %(default)s)",
    )
    parser.add_argument("--out", type=some_path, metavar="FILE", help="write here (default: print)")
    add_use(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Retrieve and write; the exit code is 1 if nothing could be compared, or a library is missing."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.out)
    import numpy as np

    from fairseq_signals.ecg.leads import parse_leads
    from fairseq_signals.files import write_text
    from fairseq_signals.inference.bulk import note_rejected, vectors_of
    from fairseq_signals.inference.listing import list_recordings
    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.patients import patients_of
    from fairseq_signals.inference.retrieval import retrieve
    from fairseq_signals.inference.sources import Opener
    from fairseq_signals.manifest.labels import read_labels
    from fairseq_signals.modules.ecg_text import ECGText
    from fairseq_signals.safety.text import tell

    parse_leads(args.leads)
    labels = None if args.labels is None else read_labels(args.labels)
    base, queries = list_recordings(args.base), list_recordings(args.query)
    if args.patients:
        patients = patients_of(queries, args.patients)
        queries = [named._replace(patient=patient) for named, patient in zip(queries, patients)]
    unknown = sum(named.patient is None for named in queries)
    if unknown:
        tell(f"note: of {unknown} of {len(queries)} queries nothing says whose they are: nothing is left out "
             "as of the same patient; see --patients")  # fmt: skip
    model = ECGModel.load(args.checkpoint, device=args.device, **input_arguments(args))
    output, reading = "joint" if isinstance(model.network, ECGText) else "embedding", read_arguments(args)
    rejected: list[tuple[str, FairseqSignalsError]] = []
    how = (args.leads, args.batch_size, reading, rejected, output)
    known, known_rows = vectors_of(model, base, *how)
    names, rows = vectors_of(model, queries, *how) if known else ([], [])
    code = note_rejected(args.out, rejected)
    if not names:
        print(f"no {'query' if known else 'recording of the base'} could be used", file=sys.stderr)
        return 1
    used = (_named(queries, names), np.stack(rows), _named(base, known), np.stack(known_rows))
    found = retrieve(*used, args.k, Opener(options=reading).record, labels)
    lines = _lines(found, args.format, () if labels is None else labels.names)
    if args.out is None:
        sys.stdout.writelines(lines)
    else:
        write_text(args.out, lines)
        print(f"wrote {args.out}")
    return code


def _named(recordings: Sequence[ListedRecording], names: Iterable[str]) -> list[ListedRecording]:
    of_name = {named.name: named for named in recordings}
    return [of_name[name] for name in names]


def _lines(found: Iterable[Retrieved], kind: str, classes: Sequence[str]) -> Iterator[str]:
    from fairseq_signals.inference.retrieval import prompt, told

    if kind == JSON:
        yield json.dumps([one.to_plain() for one in found], indent=2) + "\n"
        return
    for i, one in enumerate(found):
        yield from ["\n"] * (i > 0)
        yield from (f"{line}\n" for line in (told(one) if kind == TEXT else prompt(one, classes)))
