"""`fairseq-signals plot`: recordings, results and trainings. Needs matplotlib: "fairseq-signals[plot]"."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_signals.data.whole_file import whole_file
from fairseq_signals.ecg.leads import LEADS, parse_leads
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.errors import ConfigError, LeadError, optional_library
from fairseq_signals.evaluation.saved import read_evaluation
from fairseq_signals.figures import (
    classification_figures,
    identification_figure,
    record_figure,
    saliency_figure,
    training_figure,
    twelve_leads,
)
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.sources import Opener, read_recording
from fairseq_signals.plot_arguments import SEGMENT_S, build_parser
from fairseq_signals.training_log import read_training_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_LEADS = ("I", "II", "V2")
DPI = 200


def plot_transforms(
    path: Path, out: Path, seed: int = 1, leads: str | None = None, seconds: float = SEGMENT_S
) -> Path:
    """The file with each signal transform drawn on the beginning of a WFDB record.

    Args:
        path: the record, with or without ".hea".
        out: the picture; its suffix says which format.
        seed: of all transforms.
        leads: what to draw, as `parse_leads` takes it; by default those of DEFAULT_LEADS that the record has.
        seconds: how much to draw, at most; transforms see this much too.

    Raises:
        SignalError: the record cannot be read.
        LeadError: a lead that does not exist, or not in this record.
        MissingLibraryError: matplotlib is not installed.
        ConfigError: the suffix is none that matplotlib writes.
    """
    require_matplotlib()
    from fairseq_signals.plots.transforms import draw_transforms, transform_panels

    record = read_recording(path)
    shown = choose_leads(record, leads)
    signal_mv = twelve_leads(record)[:, : round(seconds * DEFAULT_FS)]
    panels = transform_panels(signal_mv, DEFAULT_FS, seed)
    caption = f"{record.record_id}: {signal_mv.shape[1] / DEFAULT_FS:g} s, seed {seed}"
    save(draw_transforms(signal_mv, DEFAULT_FS, shown, panels, caption), out)
    return out


def plot_record(path: Path, out: Path, given: str | None = None, start_s: float = 0.0) -> Path:
    """The file with a recording in the usual layout.

    Args:
        path: the record.
        out: the picture; its suffix says which format.
        given: the leads that a model is given, as `parse_leads` takes them; None: it is not about a model.
        start_s: where to begin.

    Raises:
        SignalError: the record cannot be read, or ends before `start_s`.
        LeadError: a lead that does not exist.
        MissingLibraryError, ConfigError: as `plot_transforms`.
    """
    require_matplotlib()
    leads = None if given is None else parse_leads(given)
    save(record_figure(read_recording(path), leads, start_s), out)
    return out


def plot_saliency(
    checkpoint: Path,
    path: Path,
    label: str,
    out: Path,
    leads: str | None = None,
    labels: str | None = None,
    attention: str = "rollout",
    device: str = "cpu",
) -> Path:
    """The file with a recording and where a classifier looked for one class.

    Args:
        checkpoint: a fine-tuned classifier.
        path: the record.
        label: the class.
        out: the picture.
        leads: those to give to the model; all by default.
        labels: see `ECGModel.load`.
        attention: "rollout" or "last".
        device: a PyTorch device.

    Raises:
        FairseqSignalsError: the model, the record or the class cannot be used.
    """
    require_matplotlib()
    from fairseq_signals.inference.model import ECGModel

    model = ECGModel.load(checkpoint, labels=labels, device=device)
    record = read_recording(path)
    save(saliency_figure(model, record, Opener(leads=leads).read(record), label, attention), out)
    return out


def plot_classification(
    path: Path, out: Path, leads: str | None = None, threshold: float | None = None
) -> list[Path]:
    """The files with the results of a classifier: curves, calibration and confusion.

    Args:
        path: file of `evaluate --save`.
        out: the pictures' common name: `NAME.png` gives `NAME_curves.png` and so on.
        leads: which lead set; the first by default.
        threshold: probability above which a class is predicted; that of the evaluation by default.

    Raises:
        ResultsError: the file cannot be used, or has no such lead set.
        MissingLibraryError, ConfigError: as `plot_transforms`.
    """
    require_matplotlib()
    written = []
    saved = read_evaluation(path, "classification")
    for name, figure in classification_figures(saved, leads, threshold).items():
        written.append(out.with_name(f"{out.stem}_{name}{out.suffix}"))
        save(figure, written[-1])
    return written


def plot_identification(path: Path, out: Path, leads: str | None = None) -> Path:
    """The file with the results of an identification model; arguments and errors as `plot_classification`."""
    require_matplotlib()
    save(identification_figure(read_evaluation(path, "identification"), leads), out)
    return out


def plot_training(path: Path, out: Path) -> Path:
    """The file with a training's losses and scores.

    Args:
        path: log file, or a folder that has one.
        out: the picture.

    Raises:
        ConfigError: there is no log of a training.
        MissingLibraryError: as `plot_transforms`.
    """
    require_matplotlib()
    save(training_figure(read_training_log(path), path.name), out)
    return out


def require_matplotlib() -> None:
    """Raise MissingLibraryError where matplotlib is not installed."""
    optional_library("matplotlib", "a picture", "plot")


def choose_leads(record: Recording, spec: str | None) -> tuple[int, ...]:
    """The indices of the leads to draw, all of which the record has."""
    if spec is None:
        present = [name for name in DEFAULT_LEADS if name in record.leads] or record.leads[:3]
        return parse_leads(list(present))
    chosen = parse_leads(spec)
    absent = [LEADS[i] for i in chosen if LEADS[i] not in record.leads]
    if absent:
        raise LeadError(
            f"record {record.record_id} has no lead {', '.join(absent)}. It has {', '.join(record.leads)}."
        )
    return chosen


def save(figure: Figure, out: Path) -> None:
    """Write a figure in the format of the file's suffix, or leave nothing behind."""
    kinds = figure.canvas.get_supported_filetypes()
    kind = out.suffix[1:].lower()
    if kind not in kinds:
        raise ConfigError(f"--out {out}: cannot write {out.suffix or 'a file without suffix'}. "
                          f"Possible: {', '.join(f'.{name}' for name in sorted(kinds))}")  # fmt: skip
    with whole_file(out) as partial:
        figure.savefig(partial, format=kind, dpi=DPI)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Draw, write the files and say where; the exit code is 0."""
    args = build_parser(prog).parse_args(argv)
    for path in _draw(args):
        print(f"wrote {path}")
    return 0


def _draw(args: argparse.Namespace) -> list[Path]:
    def out(source: Path, suffix: str = f"_{args.picture}.png") -> Path:
        name = source.stem if source.suffix in (".hea", ".npz", ".log") else source.absolute().name
        return args.out or Path(f"{name}{suffix}")

    if args.picture == "record":
        return [plot_record(args.record, out(args.record), args.leads, args.start)]
    if args.picture == "transforms":
        return [plot_transforms(args.record, out(args.record), args.seed, args.leads, args.seconds)]
    if args.picture == "saliency":
        options = (args.leads, args.labels, args.attention, args.device)
        return [plot_saliency(args.checkpoint, args.record, args.label, out(args.record), *options)]
    if args.picture == "classification":
        return plot_classification(args.evaluation, out(args.evaluation, ".png"), args.leads, args.threshold)
    if args.picture == "identification":
        return [plot_identification(args.evaluation, out(args.evaluation), args.leads)]
    if args.picture == "training":
        return [plot_training(args.run, out(args.run))]
    raise ConfigError(f"there is no picture {args.picture!r}")


if __name__ == "__main__":
    sys.exit(main())
