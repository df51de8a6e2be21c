"""What the diagrams of results share: their colours, and panels of a given size in inches."""

from __future__ import annotations

from typing import Any, List, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ("#1f5a99", "#d9741a", "#3b8a4a", "#8a4b9c", "#b33a3a", "#6b6b6b", "#b08a1e", "#2a9d9d")
GREY = "#8f9aa5"


def new_figure(rows: int, columns: int, panel: Tuple[float, float], title: str) -> Tuple[Figure, List[Axes]]:
    """A figure with `rows` x `columns` panels (width, height in inches) in reading order, and its title."""
    figure = Figure(
        figsize=(panel[0] * columns, panel[1] * rows + 0.5), layout="constrained", facecolor="white"
    )
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    panels = figure.subplots(rows, columns, squeeze=False)
    return figure, [plain(axes) for axes in panels.ravel()]


def plain(axes: Axes) -> Axes:
    """The axes with a light grid and without a frame."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return axes


def label(axes: Axes, title: str, x: str = "", y: str = "", **limits: Any) -> None:
    """Set title, axis labels and limits, in the sizes of the house."""
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set(**limits)


def lead_set_name(leads: str) -> str:
    """ "12 leads", "1 lead", or the leads by name."""
    return f"{leads} lead{'' if leads == '1' else 's'}" if leads.isdecimal() else leads
