"""`fairseq-signals report`: one HTML file on a training: the model, its training, test results, recordings.

The file needs nothing else: pictures are in it, nothing is loaded and no script runs. What cannot be in it,
such as test results of a pre-training, is said where it would be. Needs PyTorch, not fairseq; pictures need
matplotlib.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fairseq_signals.checkpoints.shipped import TRAINED
from fairseq_signals.commands.arguments import (
    add_batch_size,
    add_device,
    add_labels,
    require_out,
    some_path,
    some_place,
)
from fairseq_signals.commands.lead_set_arguments import add_lead_sets, lead_sets_of
from fairseq_signals.errors import CheckpointError
from fairseq_signals.evaluation.saved_results import SavedEvaluation
from fairseq_signals.inference.sources import read_recording
from fairseq_signals.modules.device import check_device
from fairseq_signals.report.run import missing_results, open_run, require_results
from fairseq_signals.report.sections import (
    model_section,
    recordings_section,
    results_section,
    training_section,
    write_report,
)
from fairseq_signals.safety.text import tell


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write one HTML file on a training: what the model is, losses and scores over the "
        "updates, test results by lead set, recordings with what a classifier makes of them. The file holds "
        "its pictures, loads nothing and runs no script. What cannot be in it is said in it.",
    )
    parser.add_argument(
        "run",
        type=some_path,
        metavar="RUN_DIR",
        help=f"folder of a training, with {', '.join(TRAINED)} (checkpoint.save_dir), fairseq's log "
        "(hydra.run.dir), or both",
    )
    parser.add_argument(
        "--out", type=some_path, metavar="FILE", help="HTML file to write (default: RUN_DIR/report.html)"
    )
    parser.add_argument(
        "--log",
        type=some_path,
        metavar="RUN_DIR|LOG",
        help="the training's log, or the folder it is in (default: RUN_DIR)",
    )
    tested = parser.add_mutually_exclusive_group()
    tested.add_argument(
        "--manifest",
        type=some_path,
        metavar="DIR",
        help="test the model on these manifests, as `fairseq-signals evaluate` does",
    )
    tested.add_argument(
        "--results",
        type=some_path,
        metavar="FILE.npz",
        help="show these test results, of `fairseq-signals evaluate --save`, in place of testing",
    )
    parser.add_argument("--split", default="test", help="which manifest (default: %(default)s)")
    add_lead_sets(parser, "; the first is that of the pictures and what the model is given of a RECORD")
    parser.add_argument(
        "--record",
        action="append",
        type=some_place,
        default=[],
        metavar="RECORD",
        help="show this recording, of any format that is read (FILE#ROW of a file with many); may be "
        "repeated",
    )
    add_labels(parser)
    add_batch_size(parser, 64)
    add_device(parser)
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Write the report and say what is not in it; the exit code is 0."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    require_out(parser, args.out)
    out = args.out or args.run / "report.html"
    lead_sets = lead_sets_of(args)
    check_device(args.device)
    run = open_run(args.run, args.log, args.labels, args.device)
    if run.model is not None:
        lead_sets = lead_sets.of_model(run.model.form)
    first = next(iter(lead_sets))
    records = [read_recording(record) for record in args.record]
    saved, why = None, missing_results(run)
    if args.results is not None:
        saved = require_results(args.results, run)
    elif args.manifest is not None and run.checkpoint is None:
        raise CheckpointError(f"{args.run}: there is no checkpoint to test on {args.manifest}")
    elif args.manifest is not None and run.checkpoint is not None and run.kind != "pretraining":
        from fairseq_signals.evaluation.evaluate import evaluate
        from fairseq_signals.evaluation.intervals import add_intervals

        how = {"batch_size": args.batch_size, "device": args.device}
        outcome = evaluate(run.checkpoint, args.manifest, lead_sets, args.split, **how)
        add_intervals(outcome)
        saved = SavedEvaluation.of(outcome, run.name)
    sections = [
        model_section(run),
        training_section(run),
        results_section(saved, why, first if args.leads else None),
        recordings_section(run, records, lead_sets[first]),
    ]
    write_report(out, run, sections)
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    for section in sections:
        for sentence in section.left_out:
            tell(f"{section.title}: {sentence}", sys.stdout)
    return 0
