"""A training over its updates: loss and its terms, perplexities, accuracies, scores, learning rate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import List, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairseq_signals.plots.axes import COLORS, label, new_figure

#: Title of each panel and the names that it shows, in this order.
PANELS: Tuple[Tuple[str, str], ...] = (
    ("loss and its terms", r"(^|_)loss$"),
    ("perplexity of the codes", r"perplexity$"),
    ("accuracy", r"accuracy$"),
    ("scores", r"^(auroc|auprc|f_measure|cinc_score|exact_match)$"),
    ("errors of numbers", r"^(mae|rmse)$"),
    ("numbers explained", r"^(r2|pearson)$"),
    ("learning rate", r"^lr$"),
    ("gradient norm", r"^gnorm$"),
)
COLUMNS = 3
#: A panel whose values differ by more than this factor has a logarithmic axis.
LOG_FROM = 30.0

#: Who logged, then names, then (updates, values).
History = Mapping[str, Tuple[Sequence[int], Mapping[str, Sequence[float]]]]


def draw_training(history: History, title: str) -> Figure:
    """A panel for each kind of number that was logged; training is solid, validation dotted.

    Args:
        history: by who logged ("train" or the name of a validation subset) the updates (N,) and by name the
            values (N,), NaN where there is none.
        title: what stands above.

    Raises:
        ValueError: nothing that any panel shows was logged.
    """
    shown = [(name, pattern) for name, pattern in PANELS if any(_matching(history, pattern))]
    if not shown:
        raise ValueError("the log has neither losses nor scores")
    figure, panels = new_figure(len(shown), COLUMNS, (3.9, 2.9), title)
    for axes, (name, pattern) in zip(panels, shown):
        _draw_panel(axes, history, name, pattern)
    return figure


def _matching(history: History, pattern: str) -> List[str]:
    """Names that a panel shows, each once: shorter ones first, so that the loss is before its terms."""
    names = {
        name
        for _, values in history.values()
        for name, column in values.items()
        if re.search(pattern, name) and np.isfinite(column).any()
    }
    return sorted(names, key=lambda name: (len(name), name))


def _draw_panel(axes: Axes, history: History, title: str, pattern: str) -> None:
    drawn = []
    for i, name in enumerate(_matching(history, pattern)):
        for who, (updates, values) in history.items():
            y = np.asarray(values.get(name, ()), dtype=np.float64)
            kept = np.isfinite(y)
            if not kept.any():
                continue
            text = name if who == "train" else f"{name} ({who})"
            axes.plot(np.asarray(updates)[kept], y[kept], "-" if who == "train" else ":", label=text,
                      color=COLORS[i % len(COLORS)], linewidth=1.2, markersize=3,
                      marker="o" if kept.sum() < 40 else "")  # fmt: skip
            drawn.append(y[kept])
    all_values = np.concatenate(drawn)
    if all_values.min() > 0 and all_values.max() > LOG_FROM * all_values.min():
        axes.set_yscale("log")
    label(axes, title, "update")
    legend = axes.legend(fontsize=7, edgecolor="none", framealpha=0.75)
    for entry in legend.get_texts():
        entry.set_parse_math(False)
