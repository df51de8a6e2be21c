"""What the diagrams of results share: their colours, and panels of a given size in inches."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ("#1f5a99", "#d9741a", "#3b8a4a", "#8a4b9c", "#b33a3a", "#6b6b6b", "#b08a1e", "#2a9d9d")
GREY = "#8f9aa5"


def new_figure(n: int, columns: int, panel: Tuple[float, float], title: str) -> Tuple[Figure, List[Axes]]:
    """A figure with `n` panels (width, height in inches), at most `columns` side by side, and its title."""
    columns = min(columns, n)
    rows = -(-n // columns)
    figure = Figure(
        figsize=(panel[0] * columns, panel[1] * rows + 0.5), layout="constrained", facecolor="white"
    )
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels[n:]:
        axes.remove()
    for axes in panels[:n]:
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure, panels[:n]


def label(axes: Axes, title: str, x: str = "", y: str = "", **limits: Any) -> None:
    """Set title, axis labels and limits, in the sizes of the house."""
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set(**limits)


def draw_matrix(axes: Axes, values: np.ndarray, shrink: float = 1.0, **style: Any) -> None:
    """Draw a matrix (rows, columns), each value a rectangle, with a bar of its colours on the right."""
    axes.grid(False)
    image = axes.imshow(values, interpolation="nearest", **style)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, shrink=shrink)
    bar.ax.tick_params(labelsize=7)


def lead_set_name(leads: str) -> str:
    """ "12 leads", "1 lead", or the leads by name."""
    return f"{leads} lead{'' if leads == '1' else 's'}" if leads.isdecimal() else leads
