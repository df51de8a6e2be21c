"""`fairseq-signals plot`: drawings of a recording. Needs matplotlib: pip install "fairseq-signals[plot]"."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairseq_signals.ecg.leads import LEADS, N_LEADS, parse_leads
from fairseq_signals.ecg.record import Record, read_record
from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import ConfigError, LeadError, MissingLibraryError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FS = 500.0  # Hz, at which segments are loaded for training
SEGMENT_S = 5.0  # what pre-training sees at once
MAX_SECONDS = 30.0
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

    record = read_record(path)
    shown = choose_leads(record, leads)
    signal_mv = twelve_leads(record)[:, : round(seconds * FS)]
    panels = transform_panels(signal_mv, FS, seed)
    caption = f"{record.record_id}: {signal_mv.shape[1] / FS:g} s, seed {seed}"
    save(draw_transforms(signal_mv, FS, shown, panels, caption), out)
    return out


def require_matplotlib() -> None:
    """Raise MissingLibraryError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingLibraryError(
            f'plots need matplotlib, which cannot be imported ({error}): pip install "fairseq-signals[plot]"'
        ) from error


def choose_leads(record: Record, spec: str | None) -> tuple[int, ...]:
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


def twelve_leads(record: Record) -> np.ndarray:
    """The record on all twelve leads at 500 Hz, (12, T) float32 in mV; leads that it lacks are zeros."""
    signal_mv = resample(record.signal_mv(), record.fs, FS)
    leads = np.zeros((N_LEADS, signal_mv.shape[1]), np.float32)
    leads[[LEADS.index(name) for name in record.leads]] = signal_mv
    return leads


def save(figure: Figure, out: Path) -> None:
    """Write a figure in the format of the file's suffix, or leave nothing behind."""
    kinds = figure.canvas.get_supported_filetypes()
    kind = out.suffix[1:].lower()
    if kind not in kinds:
        raise ConfigError(f"--out {out}: cannot write {out.suffix or 'a file without suffix'}. "
                          f"Possible: {', '.join(f'.{name}' for name in sorted(kinds))}")  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format=kind, dpi=DPI)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog=prog, description="Draw a recording.")
    pictures = parser.add_subparsers(dest="picture", required=True, metavar="PICTURE")
    transforms = pictures.add_parser(
        "transforms",
        help="what each signal transform does to a record, on standard ECG paper",
        description="Draw each signal transform with its default parameters on the beginning of a record, "
        "the original in grey behind it, on standard ECG paper: 25 mm/s, 10 mm/mV.",
    )
    transforms.add_argument(
        "record", type=Path, metavar="RECORD", help="WFDB record, with or without .hea; resampled to 500 Hz"
    )
    transforms.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="picture to write: .png, .pdf, .svg, ... (default: RECORD's name with _transforms.png, here)",
    )
    transforms.add_argument(
        "--seed", type=_seed, default=1, metavar="N", help="of the transforms (default: %(default)s)"
    )
    transforms.add_argument(
        "--leads",
        metavar="LEADS",
        help="leads to draw, such as I,II,V2, or a lead set, such as 12 (default: I,II,V2)",
    )
    transforms.add_argument(
        "--seconds",
        type=_seconds,
        default=SEGMENT_S,
        metavar="S",
        help="how much of the record (default: %(default)s, a segment of pre-training)",
    )
    return parser


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Draw, write the file and say where; the exit code is 0."""
    args = build_parser(prog).parse_args(argv)
    name = args.record.stem if args.record.suffix == ".hea" else args.record.name
    out = args.out or Path(f"{name}_transforms.png")
    print(f"wrote {plot_transforms(args.record, out, args.seed, args.leads, args.seconds)}")
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer from 0, but is {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {MAX_SECONDS:g}, but is {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
