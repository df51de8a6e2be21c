"""Robustness curves: a metric over the number of leads, the sampling rate, and the amount of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairseq_signals.plots.axes import COLORS, label, lead_set_name, legend_below, new_figure

COLUMNS = 3
STYLES = ("-", "--", ":", "-.")
#: By kind of curve: the panel's title, and what is along its horizontal axis.
PANELS = {
    "leads": ("random sets of leads", "leads"),
    "rate": ("lower sampling rate", "sampling rate (Hz)"),
    "emg": ("noise of muscles", "signal-to-noise ratio (dB)"),
    "wander": ("baseline wander", "signal-to-noise ratio (dB)"),
    "powerline": ("hum of the mains", "signal-to-noise ratio (dB)"),
}
#: How far to the right of the last ratio a recording without noise stands, dB.
CLEAN_DB = 6.0

#: (x, value, low, high) of each point; x is infinite where there is no noise.
Points = Sequence[Tuple[float, float, float, float]]
#: By method, by kind, by lead set.
Curves = Mapping[str, Mapping[str, Mapping[str, Points]]]


def draw_robustness(curves: Curves, metric: str, title: str) -> Figure:
    """A panel for each kind of curve, better recordings on its right; the bands are intervals.

    Of one method, lead sets have colours; of several, methods have colours and lead sets are dashed.

    Args:
        curves: as `Curves`; at least one.
        metric: what it is called.
        title: what stands above.
    """
    kinds = [kind for kind in PANELS if any(kind in of for of in curves.values())]
    sets = list(dict.fromkeys(name for of in curves.values() for kind in kinds for name in of.get(kind, {})))
    figure, panels = new_figure(len(kinds), COLUMNS, (3.9, 3.1), title)
    for axes, kind in zip(panels, kinds):
        found = {(method, name): np.array(points) for method, of in curves.items()
                 for name, points in of.get(kind, {}).items()}  # fmt: skip
        clean = _draw_axis(axes, kind, np.concatenate([points[:, 0] for points in found.values()]))
        for (method, name), points in found.items():
            x = np.where(np.isfinite(points[:, 0]), points[:, 0], clean)
            shown, color, style = lead_set_name(name), COLORS[sets.index(name) % len(COLORS)], "-"
            if len(curves) > 1:
                here = list(dict.fromkeys(name for _, name in found))
                shown, style = f"{method}, {shown}", STYLES[here.index(name) % len(STYLES)]
                color = COLORS[list(curves).index(method) % len(COLORS)]
            axes.plot(
                x, points[:, 1], style, color=color, label=shown, linewidth=1.4, marker="o", markersize=3
            )
            axes.fill_between(x, points[:, 2], points[:, 3], color=color, alpha=0.14, linewidth=0)
        label(axes, *PANELS[kind], metric if axes in panels[::COLUMNS] else "")
    low, high = (limit(axes.get_ylim()[i] for axes in panels) for i, limit in enumerate((min, max)))
    for axes in panels:
        axes.set_ylim(low, high)
    legend_below(figure, panels, COLUMNS)
    return figure


def _draw_axis(axes: Axes, kind: str, x: np.ndarray) -> float:
    """Label the places where points are; gives back where recordings without noise are."""
    places = np.unique(x[np.isfinite(x)])
    clean, names = float(places.max()) + CLEAN_DB, [f"{place:g}" for place in places]
    if not np.isfinite(x).all():
        places, names = np.append(places, clean), [*names, "clean"]
    if kind == "rate":
        axes.set_xscale("log")
    axes.set_xticks(places, names)
    axes.set_xticks([], minor=True)
    return clean
