"""`fairseq-signals plot`: recordings, results and trainings. Needs matplotlib: "fairseq-signals[plot]"."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairseq_signals.commands.arguments import read_arguments, require_out
from fairseq_signals.commands.model_arguments import input_arguments
from fairseq_signals.commands.plot_arguments import build_parser
from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.evaluation.results import identity, read_results
from fairseq_signals.evaluation.robustness import lines_of_rows
from fairseq_signals.evaluation.saved_results import read_evaluation
from fairseq_signals.inference.recording import Recording, from_record
from fairseq_signals.inference.sources import Opener
from fairseq_signals.report.figures import (
    classification_figures,
    identification_figure,
    record_figure,
    require_kind,
    require_matplotlib,
    robustness_figure,
    saliency_figure,
    save,
    training_figure,
    transforms_figure,
)
from fairseq_signals.report.training_log import read_training_log
from fairseq_signals.safety.text import tell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Draw, write the files and say where; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_matplotlib()
    source = next(vars(args)[name] for name in ("record", "evaluation", "results", "run") if name in args)
    source = source[0] if isinstance(source, list) else source
    name = source.stem if source.suffix in (".hea", ".npz", ".json", ".log") else source.absolute().name
    out = args.out or Path(
        f"{name}.png" if args.picture == "classification" else f"{name}_{args.picture}.png"
    )
    require_out(parser, out)
    require_kind(out)
    for part, figure in _figures(args).items():
        path = out.with_name(f"{out.stem}_{part}{out.suffix}") if part else out
        save(figure, path)
        tell(f"wrote {path}", sys.stdout)
    return 0


def _record(args: argparse.Namespace) -> Recording:
    return from_record(Opener(options=read_arguments(args)).record(args.record))


def _rows(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Rows of results files; methods of one name with results for the same are named by their files, too."""
    found = {path: read_results(path) for path in paths}
    times = Counter(identity(row) for rows in found.values() for row in rows)
    ambiguous = {method for (method, *_), n in times.items() if n > 1}
    for path, rows in found.items():
        for row in rows:
            method = row["method"]
            yield {**row, "method": f"{method}, {path}" if method in ambiguous else method}


def _figures(args: argparse.Namespace) -> dict[str, Figure]:
    """The pictures that were asked for, by what their file's name has at its end."""
    if args.picture == "training":
        return {"": training_figure(read_training_log(args.run), args.run.name)}
    if args.picture == "robustness":
        return {"": robustness_figure(lines_of_rows(_rows(args.results)), args.metric)}
    if args.picture == "identification":
        return {"": identification_figure(read_evaluation(args.evaluation, args.picture), args.leads)}
    if args.picture == "classification":
        saved = read_evaluation(args.evaluation, args.picture)
        return classification_figures(saved, args.leads, args.threshold)
    if args.picture == "record":
        given = None if args.leads is None else parse_leads(args.leads)
        return {"": record_figure(_record(args), given, args.start)}
    if args.picture == "transforms":
        return {"": transforms_figure(_record(args), args.seed, args.leads, args.seconds)}
    from fairseq_signals.inference.model import ECGModel

    model = ECGModel.load(
        args.checkpoint,
        labels=args.labels,
        device=args.device,
        **input_arguments(args),
    )
    record = _record(args)
    recording = Opener(leads=args.leads).read(record)
    how = args.label, args.attention, args.start, args.seconds
    return {"": saliency_figure(model, record, recording, *how)}
