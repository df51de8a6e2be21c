"""Results of identification: rank-k curve, ROC with equal error rate, similarity matrix, and similarities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fairseq_signals.metrics.verification import (
    ErrorRates,
    equal_error_rate,
    error_rates,
    rank_k_accuracy,
    split_pairs,
)
from fairseq_signals.plots.axes import COLORS, GREY, draw_matrix, label, lead_set_name, new_figure

MOST_RANKS = 20
#: Rows and columns of the similarity matrix that are drawn; of more, evenly spaced ones are.
MOST_ROWS = 400
HISTOGRAM_BINS = 60


def draw_identification(
    similarity: Mapping[str, np.ndarray], gallery_ids: np.ndarray, probe_ids: np.ndarray, title: str
) -> Figure:
    """Four panels: rank-k accuracy and ROC of each lead set, similarity matrix and histogram of the first.

    Args:
        similarity: per lead set (P, G), probes against gallery entries.
        gallery_ids, probe_ids: (G,) and (P,), whose recording each is.
        title: what stands above.

    Raises:
        ValueError: no probe's patient is in the gallery, or nobody else is.
    """
    figure, (ranks, roc, matrix, histogram) = new_figure(4, 2, (4.6, 3.9), title)
    names = [lead_set_name(name) for name in similarity]
    rates = {}
    for i, (name, values) in enumerate(zip(names, similarity.values())):
        color = COLORS[i % len(COLORS)]
        genuine, impostor = split_pairs(values, gallery_ids, probe_ids)
        rates[name] = error_rates(genuine, impostor)
        _draw_ranks(ranks, rank_k_accuracy(values, gallery_ids, probe_ids), name, color)
        _draw_roc(roc, rates[name], name, color)
    n_patients = len(np.unique(gallery_ids))
    label(ranks, f"rank-k accuracy ({len(probe_ids)} probes, {n_patients} patients enrolled)", "k",
          "share of probes whose patient is among the first k", ylim=(0, 1.02))  # fmt: skip
    ranks.legend(fontsize=7.5, loc="lower right", frameon=False)
    lowest = 1 / max(len(impostor), 10)
    x = np.geomspace(lowest, 1, 200)
    roc.plot(x, 1 - x, color=GREY, linewidth=0.9, linestyle="--", label="both errors equal")
    roc.set_xscale("log")
    label(roc, "same patient or not: ROC", "false-match rate", "true-match rate",
          xlim=(lowest, 1), ylim=(0, 1.02))  # fmt: skip
    roc.legend(fontsize=7.5, loc="lower right", frameon=False)
    first = next(iter(similarity))
    _draw_matrix(matrix, similarity[first], gallery_ids, probe_ids, names[0])
    _draw_histogram(
        histogram, *split_pairs(similarity[first], gallery_ids, probe_ids), rates[names[0]], names[0]
    )
    return figure


def _draw_ranks(axes: Axes, accuracy: np.ndarray, name: str, color: str) -> None:
    shown = accuracy[:MOST_RANKS]
    axes.plot(np.arange(1, len(shown) + 1), shown, "o-", markersize=3, linewidth=1.3, color=color,
              label=f"{name}: {accuracy[0]:.3f} at rank 1")  # fmt: skip
    axes.set_xlim(0.5, max(len(shown), 2) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_roc(axes: Axes, rates: ErrorRates, name: str, color: str) -> None:
    eer, _ = equal_error_rate(rates)
    axes.plot(rates.false_match, 1 - rates.false_non_match, color=color, linewidth=1.3,
              label=f"{name}: EER {eer:.3f}")  # fmt: skip
    axes.plot([eer], [1 - eer], "o", color=color, markersize=5, markeredgecolor="white")


def _draw_matrix(
    axes: Axes, similarity: np.ndarray, gallery_ids: np.ndarray, probe_ids: np.ndarray, name: str
) -> None:
    """Rows and columns in the order of the patients, so that genuine pairs are on the diagonal."""
    rows, columns = np.argsort(probe_ids, kind="stable"), np.argsort(gallery_ids, kind="stable")
    rows, columns = (order[:: -(-len(order) // MOST_ROWS)] for order in (rows, columns))
    low, high = float(similarity.min()), float(similarity.max())
    shown = similarity[np.ix_(rows, columns)]
    draw_matrix(axes, shown, cmap="viridis", aspect="auto", vmin=low, vmax=high)
    part = "" if len(rows) == len(probe_ids) and len(columns) == len(gallery_ids) else ", evenly spaced part"
    label(axes, f"similarity, {name} (by patient{part})", "gallery entry", "probe")


def _draw_histogram(
    axes: Axes, genuine: np.ndarray, impostor: np.ndarray, rates: ErrorRates, name: str
) -> None:
    both = np.concatenate([genuine, impostor])
    edges = np.linspace(both.min(), max(both.max(), both.min() + 1e-9), HISTOGRAM_BINS + 1).tolist()
    for values, what, color in ((impostor, "different patients", GREY), (genuine, "same patient", COLORS[0])):
        axes.hist(values, edges, weights=np.full(len(values), 1 / len(values)), color=color, alpha=0.65,
                  label=f"{what} ({len(values):,} pairs)")  # fmt: skip
    eer, threshold = equal_error_rate(rates)
    axes.axvline(threshold, color="black", linewidth=1, linestyle="--",
                 label=f"equal error {eer:.3f} at {threshold:.3f}")  # fmt: skip
    label(axes, f"similarities, {name}", "similarity", "share of pairs")
    axes.legend(fontsize=7.5, loc="upper left", frameon=False)
