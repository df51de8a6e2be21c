"""Figures of results and trainings, out of what was saved or logged of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.results import ResultsError
from fairseq_signals.evaluation.saved import SavedEvaluation
from fairseq_signals.training_log import INNER, TRAIN, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def classification_figures(
    saved: SavedEvaluation, leads: str | None = None, threshold: float | None = None
) -> dict[str, Figure]:
    """The pictures of a classifier on one lead set, by name."""
    from fairseq_signals.plots.axes import lead_set_name
    from fairseq_signals.plots.classification import draw_calibration, draw_confusion, draw_curves

    leads = saved.leads[0] if leads is None else leads
    probabilities = saved.arrays["probabilities"][saved.index(leads)].astype(np.float64)
    labels, names = saved.arrays["labels"], saved.arrays["names"].tolist()
    title = f"{saved.method}: {len(labels)} {saved.counted}, {lead_set_name(leads)}"
    figures = {"curves": draw_curves(labels, probabilities, names, title),
               "calibration": draw_calibration(labels, probabilities, names, title)}  # fmt: skip
    threshold = float(saved.arrays["threshold"]) if threshold is None else threshold
    predictions = probabilities > threshold
    title = f"{title}, predicted above {threshold:g}"
    figures["confusion"] = draw_confusion(labels, predictions, names, title, saved.arrays.get("weights"))
    return {name: figure for name, figure in figures.items() if figure is not None}


def identification_figure(saved: SavedEvaluation, leads: str | None = None) -> Figure:
    """The picture of an identification model, its matrix and histogram of one lead set."""
    from fairseq_signals.plots.identification import draw_identification

    first = saved.leads[0] if leads is None else saved.leads[saved.index(leads)]
    order = [first, *(name for name in saved.leads if name != first)]
    similarity = {name: saved.similarity(name) for name in order}
    ids = (saved.arrays["gallery_ids"], saved.arrays["probe_ids"])
    try:
        return draw_identification(similarity, *ids, f"{saved.method}: {len(ids[1])} {saved.counted}")
    except ValueError as error:
        raise ResultsError(f"{saved.method}: {error}") from None


def training_figure(series: dict[str, Series], title: str) -> Figure:
    """The picture of a training: of entries within epochs and of their means, those that are more."""
    from fairseq_signals.plots.training import draw_training

    inner, epochs = series.get(INNER, Series()), series.get(TRAIN, Series())
    shown = {TRAIN: inner if len(inner) > len(epochs) else epochs}
    shown.update({who: found for who, found in series.items() if who not in (INNER, TRAIN)})
    try:
        return draw_training({who: (s.updates, s.values) for who, s in shown.items() if len(s)}, title)
    except ValueError as error:
        raise ConfigError(f"{title}: {error}") from None
