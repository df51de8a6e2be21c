"""Results of classification: ROC and precision-recall curves per class, calibration, confusion and reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from fairseq_signals.metrics.calibration import (
    calibration_bins,
    expected_calibration_error,
    wilson_interval,
)
from fairseq_signals.metrics.cinc2021 import weighted_confusion
from fairseq_signals.metrics.classification import auprc_per_class, auroc_per_class, has_both_outcomes
from fairseq_signals.plots.axes import COLORS, GREY, draw_matrix, label, new_figure

COLUMNS = 5
_ROC, _PR = COLORS[0], COLORS[1]


def draw_curves(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], title: str
) -> Optional[Figure]:
    """ROC and precision-recall curve of each class with both outcomes, a panel each; None without any.

    Args:
        labels, probabilities: (N, C), bool and in [0, 1].
        names: (C,) of the classes.
        title: what stands above.
    """
    shown = np.flatnonzero(has_both_outcomes(labels)).tolist()
    if not shown:
        return None
    auroc, auprc = auroc_per_class(labels, probabilities), auprc_per_class(labels, probabilities)
    left_out = [name for c, name in enumerate(names) if c not in shown]
    note = f"\nwithout both outcomes: {', '.join(left_out)}" if left_out else ""
    summary = f"macro AUROC {auroc[shown].mean():.3f}, macro AUPRC {auprc[shown].mean():.3f}"
    figure, panels = new_figure(len(shown), COLUMNS, (2.3, 2.4), f"{title}\n{summary}{note}")
    for axes, c in zip(panels, shown):
        _draw_class(axes, labels[:, c], probabilities[:, c])
        text = f"{names[c]}  ({int(labels[:, c].sum())} of {len(labels)})\n"
        label(
            axes, f"{text}AUROC {auroc[c]:.3f}  AUPRC {auprc[c]:.3f}", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
        )
        axes.title.set_fontsize(7.5)
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks([0, 0.5, 1])
    lines = panels[0].lines[:3]
    figure.legend(lines, [str(line.get_label()) for line in lines], loc="outside lower left", ncols=3,
                  fontsize=8, frameon=False)  # fmt: skip
    return figure


def draw_calibration(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], title: str
) -> Figure:
    """What was predicted against what happened: all classes together, each class thin, and how often."""
    figure, (curve, counts) = new_figure(2, 2, (4.6, 4.0), title)
    curve.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle="--", label="perfect")
    for c in np.flatnonzero(labels.any(axis=0)):
        bins = calibration_bins(labels[:, c], probabilities[:, c])
        curve.plot(bins.predicted, bins.observed, color="0.8", linewidth=0.7, zorder=1)
    bins = calibration_bins(labels, probabilities)
    low, high = wilson_interval(bins.observed, bins.n)
    curve.errorbar(bins.predicted, bins.observed, [bins.observed - low, high - bins.observed], color=_ROC,
                   fmt="o-", markersize=4, capsize=2, linewidth=1.3,
                   label=f"all classes, error {expected_calibration_error(bins):.3f}")  # fmt: skip
    curve.plot([], [], color="0.8", linewidth=0.7, label="each class")
    label(curve, "calibration (bars: 95 % interval)", "predicted probability", "share with the class",
          xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # fmt: skip
    curve.legend(fontsize=7.5, loc="upper left", frameon=False)
    edges = np.linspace(0, 1, 21).tolist()
    for value, what, color in ((False, "class absent", GREY), (True, "class present", _ROC)):
        counts.hist(probabilities[labels == value], edges, color=color, alpha=0.65, label=what)
    counts.set_yscale("log")
    label(counts, "probabilities", "predicted probability", "decisions", xlim=(0, 1))
    counts.legend(fontsize=7.5, frameon=False)
    return figure


def draw_confusion(
    labels: np.ndarray,
    predictions: np.ndarray,
    names: Sequence[str],
    title: str,
    weights: Optional[np.ndarray] = None,
) -> Figure:
    """The confusion matrix of the CinC 2021 score, and with `weights` (C, C) the reward that it earns.

    A record counts in each cell (true class, predicted class) as 1 divided by the number of classes in the
    union of its labels and predictions. The sum of the rewards is the score before it is normalised.
    """
    confusion = weighted_confusion(labels, predictions)
    if not predictions.any():
        title = f"{title}: nothing"
    side = max(3.6, 0.24 * len(names) + 1.2)
    figure, panels = new_figure(1 if weights is None else 2, 2, (side + 0.6, side), title)
    rows = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, rows, out=np.full_like(confusion, np.nan), where=rows > 0)
    _draw_matrix(panels[0], share, names, "confusion, as share of the row", "Blues", 0.0, 1.0)
    if weights is not None:
        reward = weights * confusion
        _draw_matrix(panels[1], reward, names, f"reward, {reward.sum():.1f} in all", "Greens", 0.0,
                     max(float(reward.max()), 1e-9))  # fmt: skip
    return figure


def _draw_class(axes: Axes, truth: np.ndarray, probability: np.ndarray) -> None:
    false_positive, true_positive, _ = roc_curve(truth, probability)
    precision, recall, _ = precision_recall_curve(truth, probability)
    precision, recall = precision[:-1], recall[:-1]  # without the point (0, 1), which no threshold reaches
    axes.plot(
        false_positive, true_positive, color=_ROC, linewidth=1.3, label="ROC (false against true positives)"
    )
    axes.step(recall, precision, where="post", color=_PR, linewidth=1.1, label="precision against recall")
    axes.axhline(float(truth.mean()), color=_PR, linewidth=0.8, linestyle=":", label="precision by chance")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle="--")


def _draw_matrix(
    axes: Axes, values: np.ndarray, names: Sequence[str], title: str, cmap: str, low: float, high: float
) -> None:
    draw_matrix(axes, values, 0.8, cmap=cmap, vmin=low, vmax=high)
    label(axes, title, "predicted", "true")
    axes.set_xticks(range(len(names)), list(names), rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(range(len(names)), list(names), fontsize=7, parse_math=False)
    for row, column in np.argwhere(np.nan_to_num(values) >= 0.005 * high):
        value = values[row, column]
        text = f"{value:.2f}".lstrip("0") if high <= 1 else f"{value:.2g}" if value < 10 else f"{value:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=5,
                  color="white" if value > 0.6 * high else "0.15")  # fmt: skip
