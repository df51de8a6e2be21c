"""What an evaluation found for each record, in one `.npz` file: what its pictures are drawn from.

All arrays of the file are plain (nothing is pickled). Common: `format` (1), `task`, `method`, `counted` and
`leads` (S,), the lead sets; `metrics` (M,) and `values` (S, M), what was measured, and `notes` on it. S lead
sets, N records (or segments), C classes, K targets, G gallery entries, P probes. `low` and `high` (S, M): the
ends of 95 % intervals, NaN where there is none. Where there are families of lead sets: `families` (F,), their
names, `members` (F, S), which lead sets are theirs, `mean_low` and `mean_high` (F, M) of the mean over them.
Of a benchmark: `n_train`, how many records trained the head, and the `parameters` of the encoder.

Classification: `probabilities` (S, N, C) float32, `labels` (N, C) bool, `record_ids` and `patient_ids` (N,),
`names` (C,), `threshold`, `exclusive` (the most probable class is predicted, whatever the threshold; absent:
no); where the challenge score is defined `weights` (C, C) and `normal`, the class of sinus rhythm; where
classes were left out of training `outlier` (S, M), the distances of records of seen classes and of `unseen`
ones (M,), and their `outlier_patients` (M,).

Regression: `predicted` (S, N, K) and `targets` (N, K) in their units, `record_ids` and `patient_ids` (N,),
`names` (K,).

Identification: `gallery` (S, G, D) and `probe` (S, P, D) float32, one embedding a record, compared by cosine,
or with `normalize` false as inner products; `gallery_ids`, `probe_ids`, `gallery_records`, `probe_records`;
`correct` (S, P), whether the nearest gallery entry is of the probe's patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.evaluation.results import Evaluation, Intervals, ResultsError, Values, metric_names
from fairseq_signals.evaluation.summaries import Families, alone, mean_of
from fairseq_signals.files import whole_file
from fairseq_signals.metrics.bootstrap import Bounds
from fairseq_signals.metrics.decisions import predicted_classes
from fairseq_signals.metrics.identification import l2_normalize
from fairseq_signals.safety.rules import Array, read_arrays, shown

FORMAT = 1
_COMMON = {
    "format": Array("iu"),
    "task": Array("U"),
    "method": Array("U"),
    "counted": Array("U"),
    "leads": Array("U", "S"),
    "metrics": Array("U", "m", required=False),
    **dict.fromkeys(("values", "low", "high"), Array("f", "Sm", nan=True, required=False)),
    "families": Array("U", "f", required=False),
    "members": Array("b", "fS", required=False),
    **dict.fromkeys(("mean_low", "mean_high"), Array("f", "fm", nan=True, required=False)),
    "notes": Array("U", "k", required=False),
    **dict.fromkeys(("n_train", "parameters"), Array("iu", low=0, required=False)),
}
_ARRAYS = {
    "classification": {
        "probabilities": Array("f", "SNC", 0, 1),
        "labels": Array("b", "NC"),
        "record_ids": Array("U", "N"),
        "patient_ids": Array("U", "N"),
        "names": Array("U", "C"),
        "threshold": Array("fiu", "", 0, 1),
        "exclusive": Array("b", required=False),
        "weights": Array("f", "CC", required=False),
        "normal": Array("iu", low=0, required=False),
        "outlier": Array("f", "SM", 0, required=False),
        "unseen": Array("b", "M", required=False),
        "outlier_patients": Array("U", "M", required=False),
    },
    "regression": {
        "predicted": Array("f", "SNK"),
        "targets": Array("f", "NK"),
        "record_ids": Array("U", "N"),
        "patient_ids": Array("U", "N"),
        "names": Array("U", "K"),
    },
    "identification": {
        "gallery": Array("f", "SGD"),
        "probe": Array("f", "SPD"),
        "gallery_ids": Array("U", "G"),
        "probe_ids": Array("U", "P"),
        "normalize": Array("b"),
        "gallery_records": Array("U", "G", required=False),
        "probe_records": Array("U", "P", required=False),
        "correct": Array("b", "SP", required=False),
    },
}


@dataclass(frozen=True)
class SavedEvaluation:
    """An evaluation as it was saved.

    Attributes:
        task: "classification", "regression" or "identification".
        method: what the model is called.
        counted: what is counted, such as "records".
        leads: (S,) the lead sets.
        arrays: the others, by name.
        values: per lead set the metrics by name; empty, if the file is from before they were saved.
        notes: what a reader of the numbers should know.
        intervals: of the values and of the means over families; empty, if none were asked for.
        families: of lead sets, see `summaries.py`.
    """

    task: str
    method: str
    counted: str
    leads: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    values: Values = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    intervals: Intervals = field(default_factory=dict)
    families: Families = field(default_factory=dict)

    @classmethod
    def of(cls, outcome: Evaluation, method: str) -> SavedEvaluation:
        """What was just found, as it is read from a file."""
        leads, notes, arrays = tuple(outcome.values), tuple(outcome.remarks()), _stored(outcome.arrays)
        found = outcome.values, notes, outcome.intervals, outcome.families
        return cls(outcome.task, method, outcome.counted, leads, arrays, *found)

    def index(self, leads: str) -> int:
        """The place of a lead set.

        Raises:
            ResultsError: it was not evaluated.
        """
        if leads not in self.leads:
            raise ResultsError(f"lead set {leads!r} was not evaluated; these were: {', '.join(self.leads)}")
        return self.leads.index(leads)

    @property
    def alone(self) -> list[str]:
        """The lead sets that stand for themselves: of no family, and not degraded."""
        return alone(self.leads, self.families)

    def places(self, leads: str) -> list[int]:
        """The places of the lead sets of a family, or that of a lead set.

        Raises:
            ResultsError: it was not evaluated.
        """
        return [self.index(name) for name in self.families.get(leads, [leads])]

    @property
    def threshold(self) -> float | None:
        """Of classification: above which probability a class is predicted; None: the most probable one is."""
        return None if self.arrays.get("exclusive", False) else float(self.arrays["threshold"])

    def predicted(self, leads: str, threshold: float | None) -> np.ndarray:
        """Of classification: which classes are predicted, (N, C) bool, at a threshold as above.

        Raises:
            ResultsError: the lead set was not evaluated.
        """
        return predicted_classes(
            self.arrays["probabilities"][self.index(leads)].astype(np.float64), threshold
        )

    def similarity(self, leads: str) -> np.ndarray:
        """Of identification: probes against gallery entries, (P, G) float64.

        Raises:
            ResultsError: an embedding has no direction.
        """
        i = self.index(leads)
        gallery, probe = self.arrays["gallery"][i], self.arrays["probe"][i]
        if self.arrays["normalize"]:
            try:
                gallery, probe = l2_normalize(gallery, "gallery"), l2_normalize(probe, "probe")
            except ValueError as error:
                raise ResultsError(f"{self.method}, {leads} leads: {error}") from None
        return probe @ gallery.T


def write_evaluation(path: Path, outcome: Evaluation, method: str) -> None:
    """Write what was found, atomically."""
    metrics = metric_names(outcome.values)
    members = [[leads in family for leads in outcome.values] for family in outcome.families.values()]
    arrays: dict[str, Any] = {
        "format": FORMAT,
        "task": outcome.task,
        "method": method,
        "counted": outcome.counted,
        "leads": np.array(list(outcome.values), dtype=str),
        "metrics": np.array(metrics, dtype=str),
        "values": np.array([[values[name] for name in metrics] for values in outcome.values.values()]),
        "notes": np.array(outcome.remarks(), dtype=str),
        **_ends("", outcome, outcome.values, metrics),
        **({"families": np.array(list(outcome.families)), "members": np.array(members)} if members else {}),
        **_ends("mean_", outcome, map(mean_of, outcome.families), metrics),
        **_stored(outcome.arrays),
    }
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _ends(prefix: str, outcome: Evaluation, lines: Iterable[str], metrics: Sequence[str]) -> dict[str, Any]:
    """The arrays `low` and `high` of the intervals of some lines, if there are any."""
    found = [outcome.intervals[line] for line in lines if line in outcome.intervals]
    ends = np.array([[bounds.get(name, Bounds()) for name in metrics] for bounds in found])
    return {f"{prefix}{name}": ends[..., i] for i, name in enumerate(Bounds._fields)} if found else {}


def _stored(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays as they are saved: probabilities in half the space that they are computed in."""
    return {
        name: np.asarray(array, dtype=np.float32 if name == "probabilities" else None)
        for name, array in arrays.items()
    }


def read_evaluation(path: Path, task: str | None = None) -> SavedEvaluation:
    """What `write_evaluation` wrote.

    Args:
        path: the file.
        task: what it must be of.

    Raises:
        ResultsError: no such file, another kind of file, or of another task; an array is damaged, not there,
            or not of its type, shape and range.
    """
    try:
        common = read_arrays(path, _COMMON, ResultsError, "a saved evaluation")
        found, version = str(common["task"]), int(common["format"])
        if found not in _ARRAYS or version != FORMAT:
            raise ResultsError(
                f"{path}: not an evaluation saved by this version (task {shown(found)}, format {version}); "
                "evaluate again"
            )
        if task is not None and found != task:
            raise ResultsError(
                f"{path} is of {found}, but {task} was asked for"
                + (f": `fairseq-signals plot {found} {path}`" if found != "regression" else "")
            )
        rules = {**_COMMON, **_ARRAYS[found]}
        arrays = read_arrays(path, rules, ResultsError, "a saved evaluation")
    except FileNotFoundError:
        raise ResultsError(
            f"{path}: there is no such file. Write one with `fairseq-signals evaluate ... --save {path}`."
        ) from None
    leads = tuple(arrays["leads"].tolist())
    for name in {"leads", "metrics", "names", "families"} & set(arrays):
        if len(set(arrays[name].tolist())) < len(arrays[name]):
            raise ResultsError(f"{path}: {name} has one name twice: {shown(arrays[name].tolist())}")
    if ("metrics" in arrays) != ("values" in arrays):
        raise ResultsError(f"{path}: has one of metrics and values, but not the other; evaluate again")
    metrics = arrays["metrics"].tolist() if "metrics" in arrays else []
    measured = zip(leads, arrays["values"].tolist()) if metrics else ()
    values = {name: dict(zip(metrics, row)) for name, row in measured}
    notes = tuple(arrays["notes"].tolist()) if "notes" in arrays else ()
    families = _families(path, leads, arrays)
    intervals: dict[str, dict[str, Bounds]] = {}
    for prefix, lines in (("", leads), ("mean_", tuple(map(mean_of, families)))):
        if {f"{prefix}low", f"{prefix}high"} <= set(arrays):
            ends = np.stack([arrays[f"{prefix}low"], arrays[f"{prefix}high"]], axis=2).tolist()
            intervals |= {name: dict(zip(metrics, starmap(Bounds, row))) for name, row in zip(lines, ends)}
    method, counted = str(arrays["method"]), str(arrays["counted"])
    return SavedEvaluation(found, method, counted, leads, arrays, values, notes, intervals, families)


def _families(
    path: Path, leads: Sequence[str], arrays: Mapping[str, np.ndarray]
) -> dict[str, tuple[str, ...]]:
    if not {"families", "members"} <= set(arrays):
        return {}
    found = {
        name: tuple(of for of, is_member in zip(leads, row) if is_member)
        for name, row in zip(arrays["families"].tolist(), arrays["members"].tolist())
    }
    if not all(found.values()):
        raise ResultsError(f"{path}: members: a family has no lead set; evaluate again")
    return found
