"""Intervals of what was measured, of all records and of groups of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fairseq_signals.evaluation.results import Evaluation, Group
from fairseq_signals.evaluation.summaries import mean_of
from fairseq_signals.metrics.bootstrap import METHOD, SEED, Bounds, intervals, intervals_from, resampled
from fairseq_signals.metrics.cinc2021 import score_terms
from fairseq_signals.metrics.decisions import predicted_classes
from fairseq_signals.metrics.regression import metrics_of_moments, moments
from fairseq_signals.metrics.unseen import OutlierArea, TakenForSeen
from fairseq_signals.metrics.weighted import Areas, MeanOf, OfSums, Statistic, share

#: Of each task: whose each of the items that are counted is, and which record.
ITEMS = {
    "classification": ("patient_ids", "record_ids"),
    "regression": ("patient_ids", "record_ids"),
    "identification": ("probe_ids", "probe_records"),
}
#: Where the metrics of regressions have no ends, see `bootstrap.SCALES`.
_REGRESSION = {"mae": "log", "rmse": "log", "r2": "log loss", "pearson": "arctanh"}


def statistics_of(
    task: str, arrays: Mapping[str, Any], lead_set: int, kept: np.ndarray | slice = slice(None)
) -> list[Statistic]:
    """The metrics of a lead set as functions of how often each patient counts.

    Args:
        task: as of `Evaluation`.
        arrays: as of `saved_results`.
        lead_set: its index.
        kept: which of the items.
    """
    patients = arrays[ITEMS[task][0]][kept]
    if task == "identification":
        correct = arrays["correct"][lead_set][kept]
        return [share("accuracy", correct, np.ones(len(correct)), patients)]
    if task == "regression":
        return _of_numbers(
            arrays["targets"][kept], arrays["predicted"][lead_set][kept], patients, arrays["names"]
        )
    labels, probabilities = arrays["labels"][kept], arrays["probabilities"][lead_set][kept]
    exclusive = bool(arrays.get("exclusive", False))
    predictions = predicted_classes(probabilities, None if exclusive else arrays["threshold"])
    found: list[Statistic] = []
    if "normal" in arrays:
        terms = score_terms(labels, predictions, arrays["weights"], int(arrays["normal"]))
        found.append(share("cinc_score", *terms, patients, scale="log loss"))
    if exclusive:
        right = (labels == predictions).all(axis=1)
        found.append(share("accuracy", right, np.ones(len(right)), patients))
        decided = labels.astype(int) + predictions
        found.append(share("macro_f_measure", 2 * (labels & predictions), decided, patients))
    return [*found, Areas(labels, probabilities, patients)]


def mean_statistics(
    task: str, arrays: Mapping[str, Any], lead_sets: Sequence[int], kept: np.ndarray | slice = slice(None)
) -> list[Statistic]:
    """The mean of each metric over lead sets, as a function of how often each patient counts."""
    found = [statistics_of(task, arrays, each, kept) for each in lead_sets]
    return [MeanOf(of_metric) for of_metric in zip(*found)]


def outlier_statistics(arrays: Mapping[str, Any], lead_set: int) -> list[Statistic]:
    """The same of the outlier score, which counts unseen classes too; empty where it was not tested."""
    if "outlier" not in arrays:
        return []
    of_items = arrays["outlier"][lead_set], arrays["unseen"], arrays["outlier_patients"]
    return [OutlierArea(*of_items), TakenForSeen(*of_items)]


def _of_numbers(
    truth: np.ndarray, predicted: np.ndarray, patients: np.ndarray, names: Sequence[str]
) -> list[Statistic]:
    """The metrics of a regression, named as in its evaluation."""
    columns = moments(truth, predicted)  # (N, 8, K)
    found: list[Statistic] = []
    for metric, scale in _REGRESSION.items():
        for k, name in enumerate(names):
            title = metric if len(names) == 1 else f"{metric}_{name}"
            function = partial(_of_moments, metric)
            found.append(OfSums(title, scale, columns[..., k], function, patients))
    return found


def _of_moments(metric: str, sums: np.ndarray) -> np.ndarray:
    return metrics_of_moments(sums)[metric][None]


def add_intervals(outcome: Evaluation, n_resamples: int = 1000) -> None:
    """Give every metric that rests on records its 95 % interval, and a note on how it was found."""
    outcome.intervals = _intervals(outcome, n_resamples)
    for i, leads in enumerate(outcome.values):
        outcome.intervals[leads] |= intervals(outlier_statistics(outcome.arrays, i), n_resamples)
    n_patients = len(set(outcome.arrays[ITEMS[outcome.task][0]].tolist()))
    outcome.notes.append(
        f"intervals: {METHOD}, {n_patients:,} patients, {n_resamples:,} resamples, seed {SEED}"
    )


def _intervals(
    outcome: Evaluation, n_resamples: int, kept: np.ndarray | slice = slice(None)
) -> dict[str, dict[str, Bounds]]:
    """Of each lead set and of the mean of each family, whose resamples are those of its lead sets."""
    places = {leads: i for i, leads in enumerate(outcome.values)}
    draws, found = {}, {}
    for leads, place in places.items():
        statistics = statistics_of(outcome.task, outcome.arrays, place, kept)
        draws[leads] = resampled(statistics, n_resamples, SEED)
        found[leads] = intervals_from(statistics, draws[leads])
    for family, members in outcome.families.items():
        means = mean_statistics(outcome.task, outcome.arrays, [places[leads] for leads in members], kept)
        drawn = [np.mean(of_metric, axis=0) for of_metric in zip(*(draws[leads] for leads in members))]
        found[mean_of(family)] = intervals_from(means, drawn)
    return found


def group_by(column: str, group_of: Mapping[str, str], outcome: Evaluation, n_resamples: int) -> list[Group]:
    """What the checkpoint reaches on each group of records, in the order of `group_of`.

    Args:
        column: by which they are grouped.
        group_of: the group of each record.
        outcome: of all records.
        n_resamples: for intervals; 0: none.
    """
    patients, records = (outcome.arrays[name] for name in ITEMS[outcome.task])
    group = np.array([group_of[record] for record in records.tolist()])
    found = []
    for name in dict.fromkeys(group_of.values()):
        kept = np.flatnonzero(group == name)
        values = {
            leads: {
                key: value
                for each in statistics_of(outcome.task, outcome.arrays, i, kept)
                for key, value in values_of(each).items()
            }
            for i, leads in enumerate(outcome.values)
        }
        bounds = _intervals(outcome, n_resamples, kept) if n_resamples else {}
        n_patients = len(set(patients[kept].tolist()))
        found.append(Group(f"{column}={name}", len(kept), n_patients, values, bounds))
    return found


def values_of(statistic: Statistic) -> dict[str, float]:
    """The metrics where all items count once."""
    values = statistic.values(np.ones((statistic.n_patients, 1)))[:, 0]
    return dict(zip(statistic.names, values.tolist()))
