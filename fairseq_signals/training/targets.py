"""What arrays are labelled with, in whatever container: classes or numbers of each, or whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fairseq_signals.ecg.record import parse_patient
from fairseq_signals.errors import ConfigError, LabelError, did_you_mean

TASKS = ("pretraining", "classification", "identification", "regression")
PRETRAINING, CLASSIFICATION, IDENTIFICATION, REGRESSION = TASKS
_MOST_INTEGERS = 20  # without names; more may well be ages


class Targets(NamedTuple):
    """What a model is to learn of each recording.

    Attributes:
        task: one of `TASKS`.
        names: of the classes or numbers; empty where the task has none.
        of_each: the classes, or the numbers, of each recording.
        are_exclusive: whether a recording is of one class.
    """

    task: str
    names: tuple[str, ...] = ()
    of_each: Sequence[tuple[Any, ...]] = ()
    are_exclusive: bool = False

    def of(self, i: int) -> tuple[Any, ...]:
        """The classes or numbers of recording `i`."""
        return self.of_each[i] if self.of_each else ()


def read_targets(labels: Any, names: Any, has_patients: bool, task: str | None, n: int) -> Targets:
    """What the arguments of `train_on_arrays` say.

    Args:
        labels, names, task: as given there.
        has_patients: whether patients are given.
        n: recordings.

    Raises:
        ConfigError: the task is none, or not clear.
        LabelError: labels that are not complete, not as many as recordings, or do not fit the task.
    """
    if task is None:
        task = _likely_task(labels, has_patients)
    if task not in TASKS:
        raise ConfigError(
            f"task must be one of {', '.join(TASKS)}, but is {task!r}{did_you_mean(task, TASKS)}"
        )
    if task == IDENTIFICATION and not has_patients:
        raise ConfigError("identification needs patients=, which say whose each recording is")
    if task not in (CLASSIFICATION, REGRESSION):
        if labels is not None or names is not None:
            raise ConfigError(
                f"{task} takes no labels: leave out labels and label_names, or name another task"
            )
        return Targets(task)
    if labels is None:
        raise ConfigError(f"{task} needs labels")
    values, said = _columns(labels)
    if values.ndim == 2 and values.shape[1] == 1 and values.dtype.kind not in "biuf":
        values, said = values[:, 0], None  # a table with one column of class names
    if values.ndim not in (1, 2) or len(values) != n:
        shape = " x ".join(map(str, values.shape))
        raise LabelError(
            f"labels are {shape}, but there are {n} recordings: (N, C) of 0 and 1, or (N,) classes"
        )
    names = said if names is None else [str(name).strip() for name in names]
    if task == REGRESSION:
        return _numbers(values, names)
    return _multi_hot(values, names) if values.ndim == 2 else _exclusive(values, names)


def read_patients(patients: Any, n: int) -> list[str | None]:
    """Whose each recording is; None where that is not known.

    Raises:
        LabelError: they are not as many as the recordings.
    """
    if patients is None:
        return [None] * n
    given = np.asarray(patients, dtype=object)
    if given.shape != (n,):
        raise LabelError(f"patients have the shape {given.shape}, but there are {n} recordings: one each")
    return [None if patient is None else parse_patient(str(patient)) for patient in given]


def _likely_task(labels: Any, has_patients: bool) -> str:
    """The only task that the arguments can mean."""
    if labels is None and has_patients:
        raise ConfigError(
            "patients without labels can be for identification, or for the split of pre-training: say which, "
            "with task='identification' or task='pretraining'"
        )
    if labels is None:
        return PRETRAINING
    values, _ = _columns(labels)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else np.zeros(0)
    return REGRESSION if (finite != np.rint(finite)).any() else CLASSIFICATION


def _columns(labels: Any) -> tuple[np.ndarray, list[str] | None]:
    """Labels as an array, with the names of its columns where the container has any: a table or mapping."""
    if isinstance(labels, Mapping):
        columns = [np.asarray(column) for column in labels.values()]
        if len({column.shape for column in columns}) != 1:
            raise LabelError("the columns of labels are not of one length")
        return np.stack(columns, axis=1), [str(name).strip() for name in labels]
    if hasattr(labels, "detach"):  # a torch tensor
        labels = labels.detach().cpu().numpy()
    names = [str(name).strip() for name in labels.columns] if hasattr(labels, "columns") else None
    return np.asarray(labels), names


def _multi_hot(values: np.ndarray, names: Sequence[str] | None) -> Targets:
    """Classes of which a recording may have any number."""
    named = _checked_names([str(k) for k in range(values.shape[1])] if names is None else names)
    if len(named) != values.shape[1]:
        raise LabelError(f"labels have {values.shape[1]} columns, but {len(named)} classes are named")
    is_binary = np.isin(values, (0, 1)) if values.dtype.kind in "biuf" else np.zeros(values.shape, bool)
    if not is_binary.all():
        row, column = np.argwhere(~is_binary)[0]
        raise LabelError(
            f"labels of (N, C) must be 0 or 1, but that of recording {row}, {named[column]}, is "
            f"{values[row, column]}. Leave out what is not labelled."
        )
    if not values.any():
        raise LabelError("no recording is of any class")
    return Targets(CLASSIFICATION, named, [tuple(named[k] for k in np.flatnonzero(row)) for row in values])


def _exclusive(values: np.ndarray, names: Sequence[str] | None) -> Targets:
    """Classes of which a recording has one, by name or number."""
    listed = values.tolist()
    is_number = values.dtype.kind in "biu"
    if not is_number and not all(isinstance(value, str) and value for value in listed):
        raise LabelError(
            f"labels of (N,) must be class names or integers, one a recording, but are {values.dtype}, or "
            "some are missing. Numbers are for task='regression'."
        )
    found = sorted(set(listed))
    if is_number and names is None and len(found) > max(2, min(_MOST_INTEGERS, len(listed) // 2)):
        raise ConfigError(
            f"labels are {len(found)} different integers of {len(listed)} recordings: give them as texts if "
            "they are classes, or say task='regression'"
        )
    if is_number and names is not None:  # class k is names[k]
        if not 0 <= found[0] <= found[-1] < len(names):
            raise LabelError(f"labels go from {found[0]} to {found[-1]}, but {len(names)} classes are named")
        listed, found = [names[value] for value in listed], list(names)
    named = _checked_names([str(value) for value in (found if names is None else names)])
    unknown = sorted({str(value) for value in listed}.difference(named))
    if unknown:
        raise LabelError(
            f"labels have {unknown[0]!r}, which is not in label_names{did_you_mean(unknown[0], named)}"
        )
    if len({str(value) for value in listed}) < 2:
        raise LabelError(f"all recordings are of one class, {listed[0]}: there is nothing to tell apart")
    return Targets(CLASSIFICATION, named, [(str(value),) for value in listed], are_exclusive=True)


def _numbers(values: np.ndarray, names: Sequence[str] | None) -> Targets:
    """Numbers to predict, one or more a recording."""
    columns = values[:, None] if values.ndim == 1 else values
    numbered = [f"value_{k}" for k in range(columns.shape[1])] if columns.shape[1] > 1 else ["value"]
    named = _checked_names(numbered if names is None else names)
    if len(named) != columns.shape[1]:
        raise LabelError(f"labels have {columns.shape[1]} columns, but {len(named)} are named")
    if columns.dtype.kind not in "biuf":
        raise LabelError(f"labels of a regression must be numbers, but are {columns.dtype}")
    missing = np.argwhere(~np.isfinite(columns))
    if len(missing):
        row, column = missing[0]
        raise LabelError(
            f"labels of a regression must be numbers, but {named[column]} of recording {row} is "
            f"{columns[row, column]} ({len(missing)} are missing). Leave out what is not labelled."
        )
    constant = [name for name, column in zip(named, columns.T) if (column == column[0]).all()]
    if constant:
        raise LabelError(f"{constant[0]} is the same of all recordings: there is nothing to learn")
    return Targets(REGRESSION, named, [tuple(map(float, row)) for row in columns])


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    for k, name in enumerate(names):
        if not name.strip() or "|" in name or name in names[:k]:
            raise LabelError(
                f"labels are {', '.join(map(repr, names))}: each needs a name of its own, without |"
            )
    return tuple(names)
