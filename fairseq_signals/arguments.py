"""Argument types and arguments that several commands share.

Commands are argparse's: nothing to install or to import before `--help` answers.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Callable


def integer_from(least: int) -> Callable[[str], int]:
    """An argument type: an integer that is at least this."""

    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be an integer from {least}, but is {text!r}")
        return int(text)

    return convert


def number(low: float, high: float, low_included: bool = True) -> Callable[[str], float]:
    """An argument type: a number from `low` (or above it) to `high`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (value == low and not low_included):
            bound = f"from {low:g} to {high:g}" if low_included else f"above {low:g} and at most {high:g}"
            raise argparse.ArgumentTypeError(f"must be {bound}, but is {text!r}")
        return value

    return convert


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """`--out FILE` of a picture."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"picture to write: .png, .pdf, .svg, ... (default: {default}, here)",
    )
