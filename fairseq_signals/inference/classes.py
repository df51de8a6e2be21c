"""The classes of a classifier: what its outputs are called, and above which probability each counts."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairseq_signals.errors import CheckpointError, LabelError
from fairseq_signals.manifest.labels import LabelTable, class_names, read_labels
from fairseq_signals.metrics.decisions import predicted_classes
from fairseq_signals.safety.rules import check, list_of, number, required, section, text

if TYPE_CHECKING:
    from fairseq_signals.checkpoints.loading import Checkpoint

logger = logging.getLogger(__name__)

_LABEL_LISTS = {
    "names": required(list_of(text(), 100_000)),
    "abbreviations": required(list_of(text(), 100_000)),
    "codes": required(list_of(list_of(text(), 10_000), 100_000)),
}
_TASK_STATE = {"labels": section(_LABEL_LISTS)}


@dataclass(frozen=True)
class Classes:
    """The classes in the order of the model's outputs.

    Attributes:
        labels: (C,) short and distinct: abbreviations, else names, else numbers.
        names: (C,) in full; may be empty texts.
        codes: (C,) the diagnosis codes that count as each class; may be empty.
        thresholds: (C,) probabilities above which a class counts as present.
        exclusive: exactly one class holds: probabilities sum to 1, and in place of thresholds the most
            probable class counts.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    codes: tuple[tuple[str, ...], ...]
    thresholds: tuple[float, ...]
    exclusive: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def with_thresholds(self, thresholds: float | Sequence[float] | Mapping[str, float]) -> Classes:
        """The same classes with other thresholds: one for all, one a class, or some by their label."""
        if self.exclusive:
            raise LabelError("the classes exclude each other: the most probable one counts, not a threshold")
        if isinstance(thresholds, Mapping):
            unknown = [label for label in thresholds if label not in self.labels]
            if unknown:
                raise LabelError(f"there is no class {unknown[0]!r}; they are {', '.join(self.labels)}")
            pairs = zip(self.labels, self.thresholds)
            values = [float(thresholds.get(label, old)) for label, old in pairs]
        else:
            given = np.asarray(thresholds, dtype=np.float64)
            if given.ndim > 1 or (given.ndim == 1 and len(given) != len(self)):
                raise LabelError(f"{given.size} thresholds for {len(self)} classes")
            values = np.broadcast_to(given, len(self)).tolist()
        if not all(0 <= value <= 1 for value in values):
            raise LabelError(f"thresholds must be from 0 to 1, but are {values}")
        return replace(self, thresholds=tuple(values))

    def positive(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes count as present at these probabilities (..., C), bool."""
        return predicted_classes(probabilities, None if self.exclusive else self.thresholds)

    def to_json(self) -> list[dict[str, Any]]:
        """One entry a class, as in the `labels` of a saved model."""
        columns = zip(self.labels, self.names, self.codes, self.thresholds)
        return [
            {"index": i, "label": label, "name": name, "codes": list(codes), "threshold": threshold}
            for i, (label, name, codes, threshold) in enumerate(columns)
        ]


def classes_of(labels: Sequence[str], thresholds: Sequence[float]) -> Classes:
    """Classes by their labels alone, each with its threshold.

    Raises:
        LabelError: two are the same, or a threshold is none.
    """
    return _named(list(labels), 0.5).with_thresholds(list(thresholds))


def classes_of_checkpoint(
    checkpoint: Checkpoint, labels: Any = None, known: Sequence[str] = ()
) -> Classes | None:
    """The classes of a classifier; None for other models.

    Args:
        checkpoint: of whatever kind.
        labels: a label table (`labels.csv`), its path or that of the manifest folder it lies in, or names; by
            default what the checkpoint says, else the table in the folder that it was trained on, where that
            still is; else classes are numbered, with a warning in the log.
        known: names of as many outputs, where it does not say: those of public weights.

    Raises:
        LabelError: the labels cannot be read, or are not as many as the model's outputs.
    """
    if checkpoint.kind != "classification":
        if labels is not None:
            raise LabelError(
                f"{checkpoint.path}: labels are for classifiers, but this is a {checkpoint.kind} model"
            )
        return None
    return replace(_found(checkpoint, labels, known), exclusive=checkpoint.exclusive)


def _found(checkpoint: Checkpoint, labels: Any, known: Sequence[str]) -> Classes:
    n = len(checkpoint.state["proj.weight"])
    criterion = checkpoint.cfg.get("criterion") or {}
    check(criterion, {"threshold": number(0, 1)}, f"{checkpoint.path}: criterion.", CheckpointError)
    threshold = 0.5 if criterion.get("threshold") is None else float(criterion["threshold"])
    if labels is not None:
        return _require(_given(labels, threshold), n, "the labels given")
    if checkpoint.saved is not None:
        return _require(_saved(checkpoint), n, f"{checkpoint.path}: its labels")
    check(checkpoint.task_state, _TASK_STATE, f"{checkpoint.path}: task_state.", CheckpointError)
    noted = checkpoint.task_state.get("labels")
    if noted:
        if len({len(noted[name]) for name in _LABEL_LISTS}) != 1:
            raise CheckpointError(f"{checkpoint.path}: task_state.labels are lists of different lengths")
        return _require(
            _of_table(LabelTable.from_plain(noted), threshold), n, f"{checkpoint.path}: its labels"
        )
    if len(known) == n:
        return _named(list(known), threshold)
    path = Path(str(checkpoint.task_cfg.get("data") or "")) / "labels.csv"
    if os.path.isfile(path):  # False, too, of what no file can be called
        found = _of_table(read_labels(path), threshold)
        if len(found) == n:
            return found
    logger.warning(
        "%s does not say what its %d classes are called, so they are numbered; pass the labels.csv of its "
        "manifests (--labels, labels= in Python, where a list of names will do, too)",
        checkpoint.path,
        n,
    )
    return _named([str(i) for i in range(n)], threshold)


def _given(labels: Any, threshold: float) -> Classes:
    if isinstance(labels, Classes):
        return labels
    if isinstance(labels, LabelTable):
        return _of_table(labels, threshold)
    if isinstance(labels, (str, Path)):
        path = Path(labels)
        return _of_table(read_labels(path / "labels.csv" if path.is_dir() else path), threshold)
    return _named([str(label) for label in labels], threshold)


def _named(names: list[str], threshold: float) -> Classes:
    if len(set(names)) != len(names):
        raise LabelError(f"labels must differ, but are {', '.join(names)}")
    n = len(names)
    return Classes(tuple(names), tuple(names), ((),) * n, (threshold,) * n)


def _of_table(table: LabelTable, threshold: float) -> Classes:
    n = len(table)
    return Classes(tuple(class_names(table, n)), table.names, table.codes, (threshold,) * n)


def _saved(checkpoint: Checkpoint) -> Classes:
    assert checkpoint.saved is not None
    entries = [(e["label"], e["name"], tuple(e["codes"]), float(e["threshold"]))
               for e in checkpoint.saved.get("labels") or ()]  # fmt: skip
    labels, names, codes, thresholds = map(tuple, zip(*entries)) if entries else ((),) * 4
    classes = Classes(labels, names, codes, thresholds)
    if len(set(classes.labels)) != len(classes):
        raise CheckpointError(f"{checkpoint.path}/config.json: two of its labels are the same")
    return classes


def _require(classes: Classes, n: int, what: str) -> Classes:
    if len(classes) != n:
        raise LabelError(f"{what} are {len(classes)}, but the model has {n} classes")
    return classes
