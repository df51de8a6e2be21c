"""Standard electrocardiogram paper: a grid of 1 and 5 mm, 25 mm/s, 10 mm/mV, equal scales.

A page is one axes whose coordinates are millimetres from its lower left corner, so that a square is a square
and a printout at 100 % has the scales that it states: hence no library that fits the paper to the figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Dict, Optional, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

SPEED_MM_S = 25.0
GAIN_MM_MV = 10.0
SMALL_MM, LARGE_MM = 1, 5
PULSE_S, PULSE_MV = 0.2, 1.0  # the calibration pulse: 5 mm wide, 10 mm high

_MM_PER_INCH = 25.4
_PAPER, _SMALL_LINE, _LARGE_LINE = "#fffafa", "#f7d9d9", "#eaa9a9"
#: Of texts, so that they can be read where a trace runs through them.
HALO = withStroke(linewidth=2, foreground=_PAPER)
_LINE_POINTS = {SMALL_MM: 0.3, LARGE_MM: 0.6}


def new_page(width_mm: float, height_mm: float) -> Tuple[Figure, Axes]:
    """An empty page and the axes that covers it, in millimetres."""
    figure = Figure(figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width_mm), ylim=(0, height_mm), aspect="equal")
    axes.axis("off")
    return figure, axes


def draw_header(
    axes: Axes,
    left_mm: float,
    top_mm: float,
    right_mm: float,
    caption: str,
    note: str = "",
    legend: Sequence[Tuple[Dict[str, Any], str]] = (),
    fontsize: float = 8,
    linespacing: Optional[float] = None,
) -> None:
    """Write the caption, below it the scales and a note, and on the right what the styles of lines mean."""
    axes.text(left_mm, top_mm, caption, fontsize=11, va="top", parse_math=False)
    scales = f"{SPEED_MM_S:g} mm/s   {GAIN_MM_MV:g} mm/mV{note}"
    axes.text(left_mm, top_mm - 6, scales, fontsize=fontsize, va="top", color="0.3", linespacing=linespacing)
    if legend:
        axes.legend(
            handles=[Line2D([], [], label=text, **style) for style, text in legend],
            loc="upper right",
            bbox_to_anchor=(right_mm, top_mm + 1),
            bbox_transform=axes.transData,
            ncols=len(legend),
            frameon=False,
            fontsize=fontsize,
            borderpad=0,
            borderaxespad=0,
        )


def up_to_grid(length_mm: float) -> int:
    """The next multiple of the coarse grid."""
    return math.ceil(round(length_mm / LARGE_MM, 6)) * LARGE_MM


def room(signal_mm: np.ndarray, least_up: int, least_down: int, most: int) -> Tuple[int, int]:
    """Room above and below 0 that a trace in millimetres needs, multiples of 5 mm within these limits."""
    up, down = float(signal_mm.max()), -float(signal_mm.min())
    return (
        min(max(up_to_grid(up), up_to_grid(least_up)), most),
        min(max(up_to_grid(down), up_to_grid(least_down)), most),
    )


def draw_grid(axes: Axes, left_mm: float, bottom_mm: float, width_mm: int, height_mm: int) -> Rectangle:
    """Draw a sheet of paper whose grid begins at its lower left corner; returns its outline, to clip with.

    Args:
        axes: the page.
        left_mm, bottom_mm: the corner.
        width_mm, height_mm: multiples of 5 mm, so that the sheet ends with a line of the coarse grid.
    """
    sheet = Rectangle((left_mm, bottom_mm), width_mm, height_mm, facecolor=_PAPER, edgecolor="none", zorder=0)
    axes.add_patch(sheet)
    for spacing, color in ((SMALL_MM, _SMALL_LINE), (LARGE_MM, _LARGE_LINE)):
        right, top = left_mm + width_mm, bottom_mm + height_mm
        across = [((x, bottom_mm), (x, top)) for x in left_mm + np.arange(0, width_mm + 1, spacing)]
        along = [((left_mm, y), (right, y)) for y in bottom_mm + np.arange(0, height_mm + 1, spacing)]
        lines = LineCollection(across + along, colors=color, linewidths=_LINE_POINTS[spacing], zorder=1)
        lines.set_gid(f"grid-{spacing}mm")
        axes.add_collection(lines)
    return sheet


def draw_lead(
    axes: Axes,
    sheet: Rectangle,
    left_mm: float,
    zero_mm: float,
    signal_mv: np.ndarray,
    fs: float,
    **style: Any,
) -> None:
    """Draw a lead (T,) in mV, sampled at `fs` Hz, from `left_mm` on with 0 mV at `zero_mm`.

    Args:
        sheet: from `draw_grid`; what is outside of it is cut off.
        style: of the line, as matplotlib's `Axes.plot` has it.
    """
    time_mm = left_mm + np.arange(len(signal_mv)) / fs * SPEED_MM_S
    (line,) = axes.plot(time_mm, zero_mm + signal_mv * GAIN_MM_MV, solid_joinstyle="round", **style)
    line.set_clip_path(sheet)


def draw_calibration(axes: Axes, left_mm: float, zero_mm: float, **style: Any) -> None:
    """Draw the calibration pulse, 1 mV for 0.2 s, with a foot of 1 mm on each side."""
    width, height = PULSE_S * SPEED_MM_S, PULSE_MV * GAIN_MM_MV
    x = left_mm + np.array([-1, 0, 0, width, width, width + 1])
    axes.plot(x, zero_mm + np.array([0, 0, height, height, 0, 0]), **style)
