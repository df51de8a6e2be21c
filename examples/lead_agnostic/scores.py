"""What was measured, with intervals over patients and pre-training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from data import AF, DX
from frozen import EACH

from fairseq_signals.metrics.bootstrap import SEED, resampled
from fairseq_signals.metrics.weighted import Areas, Statistic, share

RESAMPLES = 2000
FEW, ALONE, FOUR = "3, 2, 1", "each", "12, 6, 2, 1"
#: Columns that are means of several lead sets.
MEANS = {FEW: ("3", "2", "1"), ALONE: EACH, FOUR: ("12", "6", "2", "1")}
TUNED = "tuned"
Arrays = Mapping[str, np.ndarray]


@cache
def read_scores(path: Path) -> Arrays:
    """The arrays of `frozen.py`, or those of `evaluate --save` under the same names."""
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    if "probabilities" not in found:
        return found
    names = {TUNED: "probabilities", "labels": "labels", "patients": "patient_ids", "sets": "leads"}
    return {f"{DX}.{ours}": found[theirs] for ours, theirs in names.items()}


def statistic(arrays: Arrays, task: str, how: str, leads: str) -> Statistic:
    """The metric of a task under a lead set: macro AUROC, or rank-1 accuracy.

    Args:
        how: of a classification "anew", "once" or "tuned".
    """
    place = arrays[f"{task}.sets"].tolist().index(leads)
    patients = arrays[f"{task}.patients"]
    if task in (DX, AF):
        return Areas(arrays[f"{task}.labels"], arrays[f"{task}.{how}"][place], patients)
    correct = arrays[f"{task}.correct"][place]
    return share("accuracy", correct, np.ones(len(correct)), patients)


@cache
def _of_one_seed(path: Path, task: str, how: str, leads: str) -> tuple[float, np.ndarray]:
    """A metric, and its values in the resamples of patients, which are the same for all files of a task."""
    found = statistic(read_scores(path), task, how, leads)
    return found.values(np.ones((found.n_patients, 1)))[0, 0], resampled([found], RESAMPLES, SEED)[0][0]


class Measured:
    """A metric of one method: its value, and its draws in a bootstrap over patients and seeds.

    Each draw takes patients with replacement, the same for all methods and seeds, and as many seeds with
    replacement as there are, of each method for itself. A value is the mean over seeds.

    Args:
        paths: a file of scores for each seed.
        task, how: as of `statistic`.
        column: a lead set, or a mean of several.
        seed: of the draws of seeds.
    """

    def __init__(self, paths: Sequence[Path], task: str, how: str, column: str, seed: int = 0):
        sets = MEANS.get(column, (column,))
        found = [[_of_one_seed(path, task, how, leads) for leads in sets] for path in paths]
        self.of_seeds = np.array([np.mean([value for value, _ in of]) for of in found])
        draws = np.stack([np.mean([drawn for _, drawn in of], axis=0) for of in found])
        chosen = np.random.default_rng(seed).integers(len(paths), size=(len(paths), RESAMPLES))
        self.value = float(self.of_seeds.mean())
        self.draws = np.take_along_axis(draws, chosen, axis=0).mean(axis=0)

    def interval(self) -> tuple[float, float]:
        """95 %, by percentiles."""
        return _ends(self.draws)

    def above(self, other: Measured) -> tuple[float, float, float]:
        """By how much it is above another, and the ends of the paired interval."""
        return (self.value - other.value, *_ends(self.draws - other.draws))


def _ends(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return float(low), float(high)
