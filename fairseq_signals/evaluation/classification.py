"""Scores of a classifier: the challenge score, macro AUROC and macro AUPRC per lead set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
from scipy.special import softmax

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.checkpoints.input_format import InputFormat, check_aggregate_max
from fairseq_signals.errors import LabelError, ManifestError
from fairseq_signals.evaluation.predict import items_of, mean_of_groups, read_split
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.manifest.folder import CLASSIFICATION
from fairseq_signals.manifest.labels import (
    SINUS_RHYTHM,
    LabelTable,
    class_names,
    multi_hot,
    read_labels,
    read_weights,
    require_one_class,
)
from fairseq_signals.manifest.table import STORE, Manifest
from fairseq_signals.metrics.cinc2021 import challenge_score
from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.metrics.decisions import predicted_classes


def evaluate_classification(
    predict_all: Callable[[Manifest], np.ndarray],
    manifests: Path,
    lead_sets: Sequence[str],
    split: str,
    per: str,
    threshold: float,
    form: InputFormat | None = None,
    exclusive: bool = False,
    largest: Sequence[str] | None = None,
) -> Evaluation:
    """CinC score (where `weights.csv` exists), macro AUROC and macro AUPRC; see `evaluate`.

    Args:
        exclusive: classes exclude each other: probabilities are a softmax, the most probable class is
            predicted, and its accuracy and macro F-measure are measured too.
        largest: labels of which the maximum over segments is asked for, which must be there.
    """
    manifest = read_split(manifests, split, CLASSIFICATION)
    probabilities = probabilities_of(predict_all(manifest), exclusive)  # (S, N, C)
    n_classes = probabilities.shape[2]
    table = label_table(manifests, n_classes)
    items, group, labels = labelled_items(manifest, n_classes, per, exclusive)
    names = class_names(table, n_classes)
    check_aggregate_max(largest, (*names, *(() if table is None else table.names)))
    aggregates = (form or InputFormat()).aggregates(names, () if table is None else table.names)
    probabilities = np.stack(
        [mean_of_groups(values, group, len(items), aggregates) for values in probabilities]
    )

    weights, normal = None, 0
    if (manifests / "weights.csv").exists():
        if table is None:
            raise LabelError(
                f"{manifests / 'weights.csv'} needs {manifests / 'labels.csv'}, which does not exist"
            )
        weights, normal = read_weights(manifests / "weights.csv", table), table.index_of_code(SINUS_RHYTHM)
    values: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    limit = None if exclusive else threshold
    for leads, scores in zip(lead_sets, probabilities):
        metrics = classification_metrics(labels, scores, limit)
        values[leads] = {"macro_auroc": metrics["auroc"], "macro_auprc": metrics["auprc"]}
        if exclusive:
            found = {"accuracy": metrics["accuracy"], "macro_f_measure": metrics["f_measure"]}
            values[leads] = {**found, **values[leads]}
        if weights is not None:
            score = challenge_score(labels, predicted_classes(scores, limit), weights, normal)
            values[leads] = {"cinc_score": score, **values[leads]}
    undefined = [name for name, column in zip(names, labels.T) if column.all() or not column.any()]
    if undefined:
        notes.append(
            f"macro AUROC and AUPRC are means over {n_classes - len(undefined)} of {n_classes} classes; "
            f"without both outcomes: {', '.join(undefined)}"
        )

    def predictions() -> Iterator[Sequence[Any]]:
        columns = [f"{what}_{name}" for name in names for what in ("probability", "label")]
        yield ["leads", "record_id", "patient_id", *(["segment"] if per == "segment" else []), *columns]
        for leads, scores in zip(lead_sets, probabilities):
            for item, score, label in zip(items, scores, labels):
                pairs = [cell for p, y in zip(score, label) for cell in (f"{p:.6g}", int(y))]
                yield [leads, *item, *pairs]

    arrays = {
        "probabilities": probabilities,
        "labels": labels,
        "record_ids": np.array([item[0] for item in items], dtype=str),
        "patient_ids": np.array([item[1] for item in items], dtype=str),
        "names": np.array(names, dtype=str),
        "threshold": threshold,
        "exclusive": exclusive,
        **({} if weights is None else {"weights": weights, "normal": normal}),
    }
    patients = list(manifest.patient_of().values())
    return Evaluation("classification", len(items), f"{per}s", values, predictions, notes, arrays, patients)


def label_table(manifests: Path, n_classes: int) -> LabelTable | None:
    """What the classes of manifests are called; None where they do not say.

    Raises:
        LabelError: there are not as many.
    """
    path = manifests / "labels.csv"
    table = read_labels(path) if path.exists() else None
    if table is not None and len(table) != n_classes:
        raise LabelError(
            f"the checkpoint has {n_classes} classes, but {path} has {len(table)}; "
            "test it on manifests made with the label table of its training"
        )
    return table


def probabilities_of(logits: np.ndarray, exclusive: bool) -> np.ndarray:
    """The probability of each class, (..., C) float64."""
    return softmax(logits.astype(np.float64), axis=-1) if exclusive else sigmoid(logits)


def labelled_items(
    manifest: Manifest, n_classes: int, per: str, exclusive: bool
) -> tuple[list[tuple[Any, ...]], np.ndarray, np.ndarray]:
    """What is counted and to which of it each segment belongs, as of `items_of`; its classes, (N, C) bool."""
    labels = read_targets(manifest, n_classes)
    if exclusive:
        require_one_class(manifest, labels)
    items, group = items_of(manifest, per)
    return items, group, _one_label_each(labels, items, group)


def read_targets(manifest: Manifest, n_classes: int) -> np.ndarray:
    """The classes of each segment, (N, C) bool: in the manifest, or in the authors' `.mat` files.

    Raises:
        ManifestError, LabelError: they are not of as many classes as the model has.
    """
    if manifest.layout != STORE:
        reader = SegmentReader(manifest)
        stored = [reader.mat_label(i) for i in range(len(manifest))]
        for label, path in zip(stored, manifest.paths):
            if len(label) != n_classes:
                raise LabelError(
                    f"{manifest.root / path}: has {len(label)} classes, but the checkpoint has {n_classes}"
                )
        return np.stack(stored) > 0
    return multi_hot(manifest, n_classes, "the checkpoint")


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits to probabilities in float64, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))


def _one_label_each(labels: np.ndarray, items: list[tuple[Any, ...]], group: np.ndarray) -> np.ndarray:
    result = np.zeros((len(items), labels.shape[1]), dtype=bool)
    result[group] = labels
    differs = np.flatnonzero((result[group] != labels).any(axis=1))
    if len(differs):
        record = items[group[differs[0]]][0]
        raise ManifestError(f"the segments of record {record} have different targets; use --per segment")
    return result
