"""What the diagrams of results share: their colours, and panels of a given size in inches."""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

from fairseq_signals.safety.text import visible

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


def grouped_bars(
    axes: Axes,
    place: np.ndarray,
    bars: Mapping[str, Sequence[Tuple[float, float]]],
    colors: Mapping[str, Any],
    base: float = 0.0,
) -> None:
    """A group of bars at each place, one of each name: from `base` to the mean, with the mean's interval.

    Args:
        axes: to draw on.
        place: (N,) centres of the groups, 1 apart or more.
        bars: by name, the mean and the half-width of its interval (NaN: none) at each place.
        colors: of each name.
        base: where the bars begin.
    """
    width = 0.8 / max(len(bars), 1)
    for i, (name, intervals) in enumerate(bars.items()):
        means, errors = np.array(intervals).T
        axes.bar(
            place + (i - (len(bars) - 1) / 2) * width,
            means - base,
            width * 0.92,
            bottom=base,
            yerr=np.nan_to_num(errors) if np.nansum(errors) else None,
            error_kw={"elinewidth": 0.9, "ecolor": "0.2"},
            capsize=2,
            color=colors[name],
            label=name,
        )
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.axhline(base, color="0.4", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Figure, panels: Iterable[Axes], columns: int) -> None:
    """One legend for all panels, below them."""
    entries = (axes.get_legend_handles_labels() for axes in panels)
    legend = {name: handle for handles, names in entries for handle, name in zip(handles, names)}
    columns = min(len(legend), columns)
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns, frameon=False)


def write_figure(figure: Figure, file: Any, **how: Any) -> None:
    """Write a figure as `savefig` does, with escapes in its texts for what is not seen, nor is in an SVG."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(visible(text.get_text(), keep="\n"))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            formatter.seq = [visible(text) for text in formatter.seq]
    figure.savefig(file, **how)


def lead_set_name(leads: str) -> str:
    """ "12 leads", "1 lead", or the leads by name."""
    return f"{leads} lead{'' if leads == '1' else 's'}" if leads.isdecimal() else leads
