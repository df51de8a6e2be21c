"""What a model says of one recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from fairseq_signals.inference.classes import Classes
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.metrics.outlier import Outlier


@dataclass(frozen=True, eq=False)
class Prediction(Mapping[str, float]):
    """The probability of each class, by its label: `prediction["AF"]`.

    Attributes:
        record_id: the recording.
        classes: the classes, in the order of `probabilities`.
        probabilities: (C,) float64.
        outlier: how unlike the training data the recording is, if the model has a score for it.
    """

    record_id: str
    classes: Classes = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    outlier: Outlier | None = field(default=None, repr=False)

    def __getitem__(self, label: str) -> float:
        try:
            return float(self.probabilities[self.classes.labels.index(label)])
        except ValueError:
            raise KeyError(f"{label!r} is none of {', '.join(self.classes.labels)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes.labels)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def positive(self) -> tuple[str, ...]:
        """The classes above their threshold, in the order of the model's outputs.

        Of classes that exclude each other, the most probable one.
        """
        return tuple(compress(self.classes.labels, self.classes.positive(self.probabilities)))

    def top(self, n: int = 3) -> list[tuple[str, float]]:
        """The `n` most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:n]
        return [(self.classes.labels[i], float(self.probabilities[i])) for i in order]

    def __repr__(self) -> str:
        shown = ", ".join(f"{label} {probability:.3f}" for label, probability in self.top(5))
        more = ", ..." if len(self) > 5 else ""
        return f"Prediction({self.record_id}: {shown}{more})"


@dataclass(frozen=True, eq=False)
class Estimate(Mapping[str, float]):
    """The numbers that a regression gives, by the target's name and in its unit: `estimate["age"]`.

    Attributes:
        record_id: the recording.
        targets: what the numbers are, in the order of `numbers`.
        numbers: (K,) float64.
        outlier: as of `Prediction`.
    """

    record_id: str
    targets: TargetTable = field(repr=False)
    numbers: np.ndarray = field(repr=False)
    outlier: Outlier | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> float:
        try:
            return float(self.numbers[self.targets.names.index(name)])
        except ValueError:
            raise KeyError(f"{name!r} is none of {', '.join(self.targets.names)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets.names)

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        columns = zip(self.targets.names, self.numbers, self.targets.units)
        shown = ", ".join(f"{name} {number:.4g} {unit}".rstrip() for name, number, unit in columns)
        return f"Estimate({self.record_id}: {shown})"


@dataclass(frozen=True)
class Match:
    """Who a recording is of: the patient of the most similar recording in a gallery.

    Attributes:
        record_id: the recording.
        patient_id: the patient with the most similar enrolled recording.
        similarity: cosine similarity to that recording.
        accepted: whether it is above the gallery's threshold; None where that has none.
        ranked: the most similar patients, each with the similarity of their nearest recording, best first.
    """

    record_id: str
    patient_id: Any
    similarity: float
    accepted: bool | None
    ranked: tuple[tuple[Any, float], ...] = field(repr=False)


@dataclass(frozen=True)
class Verification:
    """Whether a recording is of the patient it is said to be of.

    Attributes:
        record_id: the recording.
        patient_id: whom it is said to be of.
        n_recordings: how many recordings of this patient it was compared with; 0: there is none.
        highest: the highest similarity to these; NaN without any.
        mean: the mean similarity to these.
        accepted: whether the highest is above the gallery's threshold; None where there is none of the two.
        nearest_id: who has the most similar recording of all.
        nearest: the similarity to it.
    """

    record_id: str
    patient_id: Any
    n_recordings: int
    highest: float
    mean: float
    accepted: bool | None
    nearest_id: Any
    nearest: float
