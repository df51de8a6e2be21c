"""Errors of a regression per lead set, in the targets' units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

from fairseq_signals.errors import LabelError, ManifestError
from fairseq_signals.evaluation.predict import items_of, mean_of_groups, read_split
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.manifest.folder import REGRESSION, TARGETS_FILE
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.manifest.targets import TargetTable, read_targets, read_values
from fairseq_signals.metrics.regression import regression_metrics


def evaluate_regression(
    predict_all: Callable[[Manifest], np.ndarray],
    manifests: Path,
    lead_sets: Sequence[str],
    split: str,
    per: str,
    targets: TargetTable,
) -> Evaluation:
    """MAE, RMSE, R2 and Pearson's correlation of each target; see `evaluate`.

    Args:
        targets: what the model's outputs are.

    Raises:
        LabelError: the manifests are of other targets.
        ManifestError: a segment has not as many numbers; or the segments of a record have different ones.
    """
    manifest = read_split(manifests, split, REGRESSION)
    if (manifests / TARGETS_FILE).exists():
        names = read_targets(manifests / TARGETS_FILE).names
        if names != targets.names:
            raise LabelError(
                f"the checkpoint gives {', '.join(targets.names)}, but {manifests / TARGETS_FILE} has "
                f"{', '.join(names)}; test it on manifests of the same targets"
            )
    values = read_values(manifest, len(targets), "the checkpoint")
    items, group = items_of(manifest, per)
    truth = np.empty((len(items), len(targets)))
    truth[group] = values
    differs = np.flatnonzero((truth[group] != values).any(axis=1))
    if len(differs):
        record = items[group[differs[0]]][0]
        raise ManifestError(f"the segments of record {record} have different targets; use --per segment")
    predicted = targets.in_units(
        np.stack([mean_of_groups(output, group, len(items)) for output in predict_all(manifest)])
    )

    def predictions() -> Iterator[Sequence[Any]]:
        columns = [f"{what}_{name}" for name in targets.names for what in ("predicted", "target")]
        yield ["leads", "record_id", "patient_id", *(["segment"] if per == "segment" else []), *columns]
        for leads, found in zip(lead_sets, predicted):
            for item, numbers, right in zip(items, found, truth):
                yield [leads, *item, *(f"{n:.6g}" for pair in zip(numbers, right) for n in pair)]

    arrays = {
        "predicted": predicted,
        "targets": truth,
        "record_ids": np.array([item[0] for item in items], dtype=str),
        "patient_ids": np.array([item[1] for item in items], dtype=str),
        "names": np.array(targets.names, dtype=str),
    }
    measured = {
        leads: named_metrics(targets.names, regression_metrics(truth, found))
        for leads, found in zip(lead_sets, predicted)
    }
    units = [f"{name} in {unit}" for name, unit in zip(targets.names, targets.units) if unit]
    notes = [f"MAE and RMSE of {', '.join(units)}"] if units else []
    patients = list(manifest.patient_of().values())
    return Evaluation("regression", len(items), f"{per}s", measured, predictions, notes, arrays, patients)


def named_metrics(names: Sequence[str], found: dict[str, np.ndarray]) -> dict[str, float]:
    """The metrics of each target, of several with its name: `mae_LVEF`."""
    if len(names) == 1:
        return {metric: float(values[0]) for metric, values in found.items()}
    return {
        f"{metric}_{name}": float(v) for metric, values in found.items() for name, v in zip(names, values)
    }
