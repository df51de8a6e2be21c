"""Argument types and arguments that several commands share.

Commands are argparse's: nothing to install or to import before `--help` answers.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from pathlib import Path
from typing import Callable

from fairseq_signals.ecg.lead_names import LeadNames, parse_lead_names
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import LeadError
from fairseq_signals.files import not_a_file
from fairseq_signals.formats.options import (
    FILL,
    GAPS,
    MAX_GAP_S,
    MAX_SECONDS,
    MAX_SHARE,
    ReadOptions,
    read_options,
)
from fairseq_signals.metrics.identification import AS_NORM_TOP

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
RECORDS = (
    "a recording of any format that is read (FILE#ROW of a file with many), a folder of them, a record "
    "store, or a manifest (.tsv), of which each record is taken whole"
)


def integer_from(least: int | None) -> Callable[[str], int]:
    """An argument type: an integer that is at least this; None: any."""
    bound = "" if least is None else f" from {least}"

    def convert(text: str) -> int:
        if not _INTEGER.fullmatch(text) or (least is not None and int(text) < least):
            raise argparse.ArgumentTypeError(f"must be an integer{bound}, but is {text!r}")
        return int(text)

    return convert


def number(
    low: float, high: float = math.inf, low_included: bool = True, high_included: bool = True
) -> Callable[[str], float]:
    """An argument type: a finite number from `low` (or above it) to `high` (or below it)."""
    bound = f"{'>=' if low_included else '>'} {low:g}"
    if high < math.inf:
        most = "below " if not high_included else "" if low_included else "at most "
        bound = f"from {low:g} to {most}{high:g}" if low_included else f"above {low:g} and {most}{high:g}"

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        excluded = (value == low and not low_included) or (value == high and not high_included)
        if not math.isfinite(value) or not low <= value <= high or excluded:
            raise argparse.ArgumentTypeError(f"must be a number {bound}, but is {text!r}")
        return value

    return convert


def some_place(text: str) -> str:
    """An argument type: a path or another name of something; empty it is an unset variable of a shell."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty; is a variable in the command not set?")
    return text


def some_path(text: str) -> Path:
    """An argument type: a path that is not empty, which would be the folder one stands in."""
    return Path(some_place(text))


positive = number(0, low_included=False)
share = number(0, 1, high_included=False)


def add_read_options(parser: argparse.ArgumentParser, rate: str | None = "--fs") -> None:
    """How files are read, see `ReadOptions`.

    Args:
        rate: the option that says the sampling rate of files that do not; None: all of them say it.
    """
    parser.set_defaults(input_fs=None, unit=None)
    if rate is not None:
        parser.add_argument(
            rate,
            dest="input_fs",
            type=positive,
            metavar="HZ",
            help="sampling rate of files that do not say it: tables of numbers and arrays",
        )
        parser.add_argument(
            "--unit", type=_voltage, help="unit of the samples in files that do not say it: mV, uV or V"
        )
    parser.add_argument(
        "--lead-names",
        type=_lead_names,
        metavar="NAME=LEAD,...",
        help="which leads signals are that have other names, such as ECG=II,ECG2=V5 or x=-aVR (its sign "
        "turned); or leads in the order of the signals; or a file with one of these a line",
    )
    parser.add_argument(
        "--gaps",
        choices=GAPS,
        default=FILL,
        help=f"interpolate a few missing samples (gaps of up to {MAX_GAP_S * 1000:g} ms, at most "
        f"{MAX_SHARE * 100:g} %% of a lead), or leave out a lead with any (default: fill)",
    )
    parser.add_argument(
        "--amplitude-scale",
        type=positive,
        default=1.0,
        metavar="FACTOR",
        help="multiply the samples, where the amplitude in the files is known to be wrong (default: 1)",
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=MAX_SECONDS,
        metavar="S",
        help="refuse files that say they hold more than 12 leads of this length (default: %(default)g)",
    )


def read_arguments(args: argparse.Namespace) -> ReadOptions:
    """What the options of `add_read_options` say."""
    return read_options(
        args.lead_names,
        args.gaps,
        amplitude_scale=args.amplitude_scale,
        max_seconds=args.max_seconds,
        fs=args.input_fs,
        unit=args.unit,
    )


def _voltage(text: str) -> str:
    if millivolt_per(text) is None:
        raise argparse.ArgumentTypeError(f"must be mV, uV or V, but is {text!r}")
    return text


def _lead_names(text: str) -> LeadNames:
    try:
        return parse_lead_names(text)
    except LeadError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """`--out FILE` of a picture."""
    parser.add_argument(
        "--out",
        type=some_path,
        metavar="FILE",
        help=f"picture to write: .png, .pdf, .svg, ... (default: {default}, here)",
    )


def add_model(parser: argparse.ArgumentParser, what: str) -> None:
    """CHECKPOINT, and how it is used."""
    parser.add_argument(
        "checkpoint",
        type=some_path,
        metavar="CHECKPOINT",
        help=f"{what}: a .pt file, the folder of a training, a saved folder, or starter",
    )


def add_batch_size(parser: argparse.ArgumentParser, default: int) -> None:
    """`--batch-size`."""
    parser.add_argument(
        "--batch-size",
        type=integer_from(1),
        default=default,
        metavar="N",
        help="segments a batch (default: %(default)s)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`."""
    parser.add_argument("--device", default="cpu", help="PyTorch device, such as cuda (default: %(default)s)")


def add_as_norm(parser: argparse.ArgumentParser, cohort: str) -> None:
    """`--as-norm`, of identification."""
    parser.add_argument(
        "--as-norm",
        type=integer_from(2),
        nargs="?",
        const=AS_NORM_TOP,
        default=0,
        metavar="K",
        help="normalise each similarity by mean and standard deviation of the K highest of both recordings "
        f"{cohort} (AS-norm; K: %(const)s, at most all)",
    )


def add_labels(parser: argparse.ArgumentParser) -> None:
    """`--labels`, of classifiers."""
    parser.add_argument(
        "--labels",
        type=some_path,
        metavar="FILE",
        help="labels.csv, if the checkpoint does not name its classes",
    )


def require_out(
    parser: argparse.ArgumentParser, out: Path | None, suffixes: tuple[str, ...] = (), option: str = "--out"
) -> None:
    """A mistake in the call, if the file is of none of these kinds or cannot be written where it is."""
    if out is None:
        return
    if suffixes and out.suffix.lower() not in suffixes:
        parser.error(f"{option} {out}: must end with {' or '.join(suffixes)}")
    if os.path.isdir(out):
        parser.error(f"{option} {out}: is a folder; name a file in it")
    what = not_a_file(out)
    if what is not None:
        parser.error(f"{option} {out}: is {what}, which a file would take the place of; name a file")
    folder = next(above for above in out.absolute().parents if os.path.exists(above))
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
        parser.error(f"{option} {out}: {folder} is not a folder that can be written to; choose another one")
