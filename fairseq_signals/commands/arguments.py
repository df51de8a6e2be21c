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


def number(low: float, high: float = math.inf, low_included: bool = True) -> Callable[[str], float]:
    """An argument type: a finite number from `low` (or above it) to `high`."""
    bound = f"{'>=' if low_included else '>'} {low:g}"
    if high < math.inf:
        bound = f"from {low:g} to {high:g}" if low_included else f"above {low:g} and at most {high:g}"

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not low <= value <= high or (value == low and not low_included):
            raise argparse.ArgumentTypeError(f"must be a number {bound}, but is {text!r}")
        return value

    return convert


positive = number(0, low_included=False)


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """`--out FILE` of a picture."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"picture to write: .png, .pdf, .svg, ... (default: {default}, here)",
    )
