"""Target tables: what the numbers of a regression are, and how they are standardised for training.

A target table is a CSV file `index,name,unit,mean,std`; mean and std are those of the training records.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairseq_signals.errors import CheckpointError, LabelError, ManifestError
from fairseq_signals.manifest.info import require_complete
from fairseq_signals.safety.rules import check, list_of, number, required, section, text
from fairseq_signals.safety.text import csv_lines
from fairseq_signals.store.csv_table import read_table

if TYPE_CHECKING:
    from fairseq_signals.manifest.table import Manifest

_NUMBERS = required(list_of(number(-1e300, 1e300), 100_000))
_TEXTS = required(list_of(text(), 100_000))
_NOTED = {"names": _TEXTS, "units": _TEXTS, "means": _NUMBERS, "stds": _NUMBERS}
COLUMNS = ("index", "name", "unit", "mean", "std")


@dataclass(frozen=True)
class TargetTable:
    """The targets of a regression, in the order of the model's outputs.

    Args:
        names: (K,) distinct, such as "LVEF".
        units: (K,) such as "%"; may be empty texts.
        means, stds: (K,) of the training records, std with divisor n and above 0.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names) or not all(self.names):
            raise LabelError(f"targets must have different names, but are {', '.join(map(repr, self.names))}")
        for name, mean, std in zip(self.names, self.means, self.stds):
            if not (math.isfinite(mean) and 0 < std < math.inf):
                raise LabelError(
                    f"target {name}: mean and std must be numbers, std above 0, but are {mean:g} and "
                    f"{std:g}; training records whose values are all alike teach nothing"
                )

    def __len__(self) -> int:
        return len(self.names)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Values (..., K) in the targets' units as the model is trained on them: mean 0, deviation 1."""
        return (values - np.array(self.means)) / np.array(self.stds)

    def in_units(self, standardised: np.ndarray) -> np.ndarray:
        """The reverse of `standardised`, in float64."""
        return np.asarray(standardised, np.float64) * np.array(self.stds) + np.array(self.means)

    def to_plain(self) -> dict[str, list]:
        """The table in plain lists, as checkpoints keep it; `from_plain` reads it."""
        return {name: list(getattr(self, name)) for name in _NOTED}

    @classmethod
    def from_plain(cls, plain: dict[str, list]) -> TargetTable:
        """The table that `to_plain` gave."""
        return cls(*(tuple(plain[name]) for name in _NOTED))

    @classmethod
    def noted(cls, plain: Any, n: int, where: str) -> TargetTable:
        """The table that a model's file holds, of `n` outputs.

        Raises:
            CheckpointError: there is none, it is no such table, or not of as many targets.
        """
        if not plain:
            raise CheckpointError(
                f"{where}: does not say what its {n} outputs are; train it with ecg_regression"
            )
        check({"targets": plain}, {"targets": section(_NOTED)}, f"{where}: ", CheckpointError)
        if {len(plain[name]) for name in _NOTED} != {n}:
            raise CheckpointError(f"{where}: its targets are not as many as the model's {n} outputs")
        try:
            return cls.from_plain(plain)
        except LabelError as error:
            raise CheckpointError(f"{where}: {error}") from None

    def to_csv(self) -> str:
        """The text of the table's file."""
        rows = zip(range(len(self)), self.names, self.units, self.means, self.stds)
        return "".join(csv_lines([COLUMNS, *rows]))


def read_targets(path: str | os.PathLike[str]) -> TargetTable:
    """Read a target table.

    Raises:
        LabelError: with file and line, where the file is absent or malformed.
        ManifestError: it lies beside manifests that were not all written.
    """
    path = Path(path)
    require_complete(path.parent)
    _, rows = read_table(path, COLUMNS, LabelError)
    found: list[tuple[str, str, float, float]] = []
    for row in rows:
        row.value("index", [str(len(found))].index, f"{len(found)} (0, 1, ... in order)")
        mean, std = (row.value(column, float, "a number") for column in ("mean", "std"))
        found.append((row.text("name"), row.cells["unit"], mean, std))
    if not found:
        raise LabelError(f"{path}: the table has no targets")
    try:
        return TargetTable(*zip(*found))
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from None


def format_target(values: Iterable[float]) -> str:
    """The target of a segment in a manifest: `63`, `-1.5,4.2`; read again, the numbers are the same."""
    return ",".join(repr(float(value)).removesuffix(".0") for value in values)


def read_values(manifest: Manifest, n_targets: int, named_by: str) -> np.ndarray:
    """The target values of each segment, (N, K) float64.

    Raises:
        ManifestError: a target is not as many numbers as `named_by` has targets; names the line.
    """
    values = np.empty((len(manifest), n_targets))
    for i, target in enumerate(manifest.targets):
        numbers = [float(number) for number in target.split(",") if number]
        if len(numbers) != n_targets or not all(map(math.isfinite, numbers)):
            raise ManifestError(
                f"{manifest.path}:{i + 2}: target must be {n_targets} numbers, one for each target of "
                f"{named_by}, but is {target!r}. Make the manifests with manifests/regression.py"
            )
        values[i] = numbers
    return values
