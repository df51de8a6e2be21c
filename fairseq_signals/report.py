"""`fairseq-signals report`: one HTML file on a training: the model, its training, test results, recordings.

The file needs nothing else: pictures are in it, nothing is loaded and no script runs. What cannot be in it,
such as test results of a pre-training, is said where it would be. Needs PyTorch, not fairseq; pictures need
matplotlib.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from fairseq_signals import __version__
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.evaluate import check_device, evaluate
from fairseq_signals.evaluation.predict import parse_lead_sets
from fairseq_signals.evaluation.results import ResultsError, write_atomically
from fairseq_signals.evaluation.saved import SavedEvaluation, read_evaluation
from fairseq_signals.inference.sources import read_recording
from fairseq_signals.info import headline
from fairseq_signals.model_arguments import add_batch_size, add_device, add_labels
from fairseq_signals.report_page import Section, page
from fairseq_signals.report_sections import (
    Run,
    model_section,
    recordings_section,
    results_section,
    training_section,
)
from fairseq_signals.training_log import read_training_log

CHECKPOINTS = ("checkpoint_best.pt", "checkpoint_last.pt")
DEFAULT_LEADS = "12,6,3,2,1"


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
        type=Path,
        metavar="RUN_DIR",
        help=f"folder of a training, with {' or '.join(CHECKPOINTS)} (checkpoint.save_dir), fairseq's log "
        "(hydra.run.dir), or both",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="HTML file to write (default: RUN_DIR/report.html)"
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="RUN_DIR|LOG",
        help="the training's log, or the folder it is in (default: RUN_DIR)",
    )
    tested = parser.add_mutually_exclusive_group()
    tested.add_argument(
        "--manifest",
        type=Path,
        metavar="DIR",
        help="test the model on these manifests, as `fairseq-signals evaluate` does",
    )
    tested.add_argument(
        "--results",
        type=Path,
        metavar="FILE.npz",
        help="show these test results, of `fairseq-signals evaluate --save`, in place of testing",
    )
    parser.add_argument("--split", default="test", help="which manifest (default: %(default)s)")
    parser.add_argument(
        "--leads",
        action="append",
        metavar="SETS",
        help=f"lead sets to test, as of `evaluate` (default: {DEFAULT_LEADS}); the first is that of the "
        "pictures and what the model is given of a RECORD; may be repeated",
    )
    parser.add_argument(
        "--record",
        action="append",
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
    args = build_parser(prog).parse_args(argv)
    out = args.out or args.run / "report.html"
    if out.is_dir():
        raise ConfigError(f"--out {out}: is a folder; name a file, such as {out / 'report.html'}")
    lead_sets = parse_lead_sets(args.leads or [DEFAULT_LEADS])
    first = next(iter(lead_sets))
    check_device(args.device)
    run = open_run(args.run, args.log, args.labels, args.device)
    records = [read_recording(record) for record in args.record]
    saved, why = None, missing_results(run)
    if args.results is not None:
        saved = require_results(args.results, run)
    elif args.manifest is not None and run.checkpoint is None:
        raise CheckpointError(f"{args.run}: there is no checkpoint to test on {args.manifest}")
    elif args.manifest is not None and run.kind != "pretraining":
        saved = measure(run, args.manifest, lead_sets, args.split, args.batch_size, args.device)
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
            print(f"{section.title}: {sentence}")
    return 0


def open_run(folder: Path, log: Path | None = None, labels: Path | None = None, device: str = "cpu") -> Run:
    """The training whose checkpoints or logs lie in a folder.

    Args:
        folder: `checkpoint.save_dir` or `hydra.run.dir`.
        log: its log, if that is elsewhere.
        labels, device: see `ECGModel.load`.

    Raises:
        ConfigError: no such folder, neither checkpoint nor log is in it, or `log` is none.
        FairseqSignalsError: the checkpoint cannot be used.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; name the checkpoint.save_dir of a training")
    checkpoint, series, no_log = find_checkpoint(folder), {}, ""
    try:
        series = read_training_log(log or folder)
    except ConfigError as error:
        if log is not None:
            raise
        if checkpoint is None:
            raise ConfigError(
                f"{folder}: neither a checkpoint ({' or '.join(CHECKPOINTS)}) nor the log of a training is "
                "in it; name the checkpoint.save_dir or hydra.run.dir of a training"
            ) from None
        no_log = f"{error} If it is elsewhere, name it: --log FILE."
    model = None
    if checkpoint is not None:
        from fairseq_signals.inference.model import ECGModel

        model = ECGModel.load(checkpoint, labels=labels, device=device)
    return Run(folder.resolve().name, checkpoint, model, series, no_log)


def find_checkpoint(folder: Path) -> Path | None:
    """The best checkpoint in a folder, else the last, else the newest; else one in a folder in it.

    Raises:
        ConfigError: several folders in it have one.
    """
    for name in CHECKPOINTS:
        if (folder / name).is_file():
            return folder / name
    own = [path for path in folder.glob("checkpoint*.pt") if path.is_file()]
    if own:
        return max(own, key=lambda path: (path.stat().st_mtime, path.name))
    inner = {path.parent: path for name in reversed(CHECKPOINTS) for path in folder.glob(f"*/{name}")}
    if len(inner) > 1:
        names = ", ".join(sorted(path.name for path in inner))
        raise ConfigError(f"{folder}: holds several trainings ({names}); name the folder of one")
    return next(iter(inner.values()), None)


def missing_results(run: Run) -> str:
    """Why a report has no test results, if none are asked for or none are possible."""
    if run.kind == "pretraining":
        return (
            "A pre-training has no classes or identities to test. Fine-tune it, and make a report of that "
            "training."
        )
    return (
        "The model was not tested: pass --manifest DIR, or --results FILE.npz of `fairseq-signals evaluate "
        "--save FILE.npz`."
    )


def require_results(path: Path, run: Run) -> SavedEvaluation:
    """Results that were saved.

    Raises:
        ResultsError: they cannot be read, or are of another task than the model's.
    """
    saved = read_evaluation(path)
    if run.kind not in (None, saved.task):
        raise ResultsError(
            f"{path} is of {saved.task}, but {run.checkpoint} is a {run.kind} model; "
            f"save its own: `fairseq-signals evaluate {run.checkpoint} --manifest DIR --save FILE.npz`"
        )
    return saved


def measure(
    run: Run, manifests: Path, lead_sets: dict[str, tuple[int, ...]], split: str, batch_size: int, device: str
) -> SavedEvaluation:
    """The results of `evaluate` with what else it has by default."""
    assert run.checkpoint is not None
    outcome = evaluate(run.checkpoint, manifests, lead_sets, split, batch_size=batch_size, device=device)
    return SavedEvaluation.of(outcome, run.name)


def write_report(out: Path, run: Run, sections: Sequence[Section]) -> None:
    """Write the file: it appears when it is complete, or stays what it was."""
    what = "Training" if run.model is None else headline(run.model.describe())
    now = datetime.now(timezone.utc)
    made = f"fairseq-signals {__version__}, report of {now:%Y-%m-%d %H:%M} UTC."
    write_atomically(out, page(run.name, what[:1].upper() + what[1:], sections, made))


if __name__ == "__main__":
    sys.exit(main())
