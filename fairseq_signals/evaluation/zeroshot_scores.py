"""What zero-shot classification reaches: scores of records, the metrics of them, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fairseq_signals.evaluation.results import (
    Evaluation,
    format_interval,
    lead_set_cells,
    metric_names,
)
from fairseq_signals.evaluation.summaries import is_drawn
from fairseq_signals.metrics.bootstrap import intervals
from fairseq_signals.metrics.classification import auroc_per_class, has_both_outcomes, nan_mean
from fairseq_signals.metrics.weighted import Areas, Statistic, share
from fairseq_signals.safety.text import visible

TASK = "zero-shot"
TRAINED, UNTRAINED, SHUFFLED, TEXT_ONLY = "trained", "untrained", "shuffled pairs", "text only"
#: Of how many nearest texts one must be the record's own, for recall.
RECALL_AT = (1, 5, 10)
TITLES = {
    "macro_auroc": "macro AUROC",
    "median_rank": "median rank",
    **{f"recall_at_{k}": f"recall at {k}" for k in RECALL_AT},
}


@dataclass(frozen=True)
class Scores:
    """How records are scored in one way.

    Attributes:
        labels: (N, C) bool, classes of the records.
        patients: (N,) whose they are.
        cosines: by lead set, (N, C).
        ranks: by lead set, (N,) at what place a record's own text is among all, from 1; NaN without one. Of
            texts as near as its own, half come before it.
    """

    labels: np.ndarray
    patients: np.ndarray
    cosines: Mapping[str, np.ndarray]
    ranks: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class ZeroShot:
    """What a model reaches without labels, and what stands beside it.

    Attributes:
        names: of the classes.
        rows: by their title, `TRAINED` first.
        families: of lead sets.
        notes: what a reader of the numbers should know.
    """

    names: list[str]
    rows: dict[str, Scores]
    families: Mapping[str, tuple[str, ...]]
    notes: list[str]


def places_of(cosines: np.ndarray, own: np.ndarray) -> np.ndarray:
    """At what place of (N, M) each row's own column is, (N,); NaN where `own` is -1. See `Scores`."""
    of_own = np.take_along_axis(cosines, own[:, None].clip(0), axis=1)
    ranks = 1 + (cosines > of_own).sum(axis=1) + ((cosines == of_own).sum(axis=1) - 1) / 2
    return np.where(own >= 0, ranks, np.nan)


def evaluation_of(found: ZeroShot, row: str, n_resamples: int = 1000) -> Evaluation:
    """The metrics of a row as those of an evaluation.

    The mean AUROC over classes, and recall where texts are given; of the trained model each class's, too.

    Args:
        found: what `zero_shot` gave.
        row: its title.
        n_resamples: of patients, for intervals; 0: none.
    """
    scores = found.rows[row]
    values: dict[str, dict[str, float]] = {}
    bounds = {}
    for leads, cosines in scores.cosines.items():
        per_class = auroc_per_class(scores.labels, cosines)
        values[leads] = {"macro_auroc": nan_mean(per_class)}
        statistics: list[Statistic] = [Areas(scores.labels, cosines, scores.patients)]
        if leads in scores.ranks:
            ranks = scores.ranks[leads]
            has = ~np.isnan(ranks)
            for k in RECALL_AT:
                name, hits = f"recall_at_{k}", ranks[has] <= k
                values[leads][name] = float(hits.mean())
                statistics.append(share(name, hits, np.ones(len(hits)), scores.patients[has]))
            values[leads]["median_rank"] = float(np.median(ranks[has]))
        bounds[leads] = _intervals(statistics, n_resamples)
        if row == TRAINED:
            values[leads] |= {auroc_of(name): float(v) for name, v in zip(found.names, per_class)}
            for c in np.flatnonzero(has_both_outcomes(scores.labels)) if n_resamples else ():
                one = Areas(scores.labels[:, [c]], cosines[:, [c]], scores.patients)
                bounds[leads][auroc_of(found.names[c])] = _intervals([one], n_resamples)["macro_auroc"]
    n = len(scores.labels)
    families = found.families if row != TEXT_ONLY else {}
    return Evaluation(
        TASK, n, "records", values, lambda: iter(()), patients=list(scores.patients), intervals=bounds,
        families=families,
    )  # fmt: skip


def auroc_of(name: str) -> str:
    """What the AUROC of a class is called in results."""
    return f"auroc_{name}"


def _intervals(statistics: Sequence[Statistic], n_resamples: int) -> dict[str, Any]:
    return intervals(statistics, n_resamples) if n_resamples else {}


def table_of(found: Mapping[str, Evaluation]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of a table of all rows by lead set, for `format_table`; without classes."""
    metrics = [name for name in metric_names(next(iter(found.values())).values) if not _is_class(name)]
    cells = []
    for row, outcome in found.items():
        kept = {leads: {name: v for name, v in values.items() if name in metrics}
                for leads, values in outcome.values.items()}  # fmt: skip
        lines = lead_set_cells(kept, outcome.intervals, outcome.families)
        cells += [[row, *line, *[""] * (len(metrics) + 1 - len(line))] for line in lines]
    return ["", "leads", *(TITLES[name] for name in metrics)], cells


def class_table(outcome: Evaluation, names: Sequence[str], numbers: Sequence[int]) -> tuple[list[str], list]:
    """The same of each class, whose records are so many; of lead sets that are not drawn."""
    shown = [leads for leads in outcome.values if not is_drawn(leads)]
    cells = [
        [
            visible(name),
            f"{n:,}",
            *(
                format_interval(outcome.values[leads][key], outcome.intervals[leads].get(key))
                for leads in shown
            ),
        ]
        for name, n in zip(names, numbers)
        for key in [auroc_of(name)]
    ]
    return ["class", "records", *(f"AUROC ({leads})" for leads in shown)], cells


def _is_class(name: str) -> bool:
    return name.startswith(auroc_of(""))
