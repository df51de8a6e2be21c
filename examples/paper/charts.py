"""A table of the paper as bars with error bars, what was reached here beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tables import Line

CHANCE = "chance"
UNTRAINED = "0.65"  # colour of what the others are judged by
SOURCES = {"here": "here", "paper": "in the paper"}


def draw(parts: Mapping[str, Sequence[Line]], title: str, path: Path) -> None:
    """Write a chart: a row of panels a part of the table, in the left column ours, in the right the paper's.

    Args:
        parts: the lines of each part by its heading.
        title: of the whole.
        path: the PNG file.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from fairseq_signals.plots.axes import legend_below

    methods = list(dict.fromkeys(line.label for lines in parts.values() for line in lines))
    palette = iter(matplotlib.colormaps["tab10" if len(methods) <= 10 else "tab20"].colors)
    colours = {label: UNTRAINED if label == "Random Init." else next(palette) for label in methods}
    figure = Figure(figsize=(15, 3.1 * len(parts) + 1.2), layout="constrained")
    panels = figure.subplots(len(parts), len(SOURCES), squeeze=False)
    for row, (heading, lines) in zip(panels, parts.items()):
        for axis, (source, source_title) in zip(row, SOURCES.items()):
            shown = [line for line in lines if line.source == source]
            if not shown:
                axis.set_axis_off()
                continue
            draw_panel(axis, shown, colours, base=0.5 if "AUROC" in heading else 0.0)
            axis.set_title(f"{heading.partition(' (')[0]}, {source_title}", fontsize=11, loc="left")
    legend_below(figure, panels.flat, columns=8)
    figure.suptitle(f"{title}\nbars: mean over seeds, with its 95 % confidence interval", fontsize=12)
    figure.savefig(path, dpi=130)


def draw_panel(axis: Any, lines: Sequence[Line], colours: Mapping[str, Any], base: float) -> None:
    """Groups of bars from `base`, one group a column of the table and one bar a method; chance is dashed."""
    from fairseq_signals.plots.axes import grouped_bars

    bars = {line.label: list(line.cells.values()) for line in lines if line.label != CHANCE}
    columns = list(lines[0].cells)
    place = np.arange(len(columns))
    grouped_bars(axis, place, bars, colours, base)
    for line in lines:
        if line.label == CHANCE:
            level = line.cells[columns[0]].mean
            axis.axhline(level, color="0.25", linestyle="dashed", linewidth=1, label=CHANCE)
    axis.set_xticks(place, columns)
    axis.set_xlim(-0.55, len(columns) - 0.45)
