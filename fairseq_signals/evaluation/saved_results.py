"""What an evaluation found for each record, in one `.npz` file: what its pictures are drawn from.

All arrays of the file are plain (nothing is pickled). Common: `format` (1), `task`, `method`, `counted` and
`leads` (S,), the lead sets; `metrics` (M,) and `values` (S, M), what was measured, and `notes` on it. S lead
sets, N records (or segments), C classes, G gallery entries, P probes.

Classification: `probabilities` (S, N, C) float32, `labels` (N, C) bool, `record_ids` and `patient_ids` (N,),
`names` (C,), `threshold`; where the challenge score is defined `weights` (C, C).

Identification: `gallery` (S, G, D) and `probe` (S, P, D) float32, one embedding a record, compared by cosine,
or with `normalize` false as inner products; `gallery_ids`, `probe_ids`, `gallery_records`, `probe_records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.evaluation.results import Evaluation, ResultsError
from fairseq_signals.files import whole_file
from fairseq_signals.metrics.identification import l2_normalize

FORMAT = 1
_ARRAYS = {
    "classification": ("probabilities", "labels", "record_ids", "patient_ids", "names", "threshold"),
    "identification": ("gallery", "probe", "gallery_ids", "probe_ids", "normalize"),
}


@dataclass(frozen=True)
class SavedEvaluation:
    """An evaluation as it was saved.

    Attributes:
        task: "classification" or "identification".
        method: what the model is called.
        counted: what is counted, such as "records".
        leads: (S,) the lead sets.
        arrays: the others, by name.
        values: per lead set the metrics by name; empty, if the file is from before they were saved.
        notes: what a reader of the numbers should know.
    """

    task: str
    method: str
    counted: str
    leads: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, outcome: Evaluation, method: str) -> SavedEvaluation:
        """What was just found, as it is read from a file."""
        arrays = {name: np.asarray(array) for name, array in outcome.arrays.items()}
        leads, notes = tuple(outcome.values), tuple(outcome.remarks())
        return cls(outcome.task, method, outcome.counted, leads, arrays, outcome.values, notes)

    def index(self, leads: str) -> int:
        """The place of a lead set.

        Raises:
            ResultsError: it was not evaluated.
        """
        if leads not in self.leads:
            raise ResultsError(f"lead set {leads!r} was not evaluated; these were: {', '.join(self.leads)}")
        return self.leads.index(leads)

    def similarity(self, leads: str) -> np.ndarray:
        """Of identification: probes against gallery entries, (P, G) float64."""
        i = self.index(leads)
        gallery, probe = self.arrays["gallery"][i], self.arrays["probe"][i]
        if self.arrays["normalize"]:
            gallery, probe = l2_normalize(gallery, "gallery"), l2_normalize(probe, "probe")
        return probe @ gallery.T


def write_evaluation(path: Path, outcome: Evaluation, method: str) -> None:
    """Write what was found, atomically."""
    metrics = list(dict.fromkeys(name for values in outcome.values.values() for name in values))
    arrays: dict[str, Any] = {
        "format": FORMAT,
        "task": outcome.task,
        "method": method,
        "counted": outcome.counted,
        "leads": np.array(list(outcome.values), dtype=str),
        "metrics": np.array(metrics, dtype=str),
        "values": np.array([[values[name] for name in metrics] for values in outcome.values.values()]),
        "notes": np.array(outcome.remarks(), dtype=str),
        **outcome.arrays,
    }
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_evaluation(path: Path, task: str | None = None) -> SavedEvaluation:
    """What `write_evaluation` wrote.

    Args:
        path: the file.
        task: what it must be of.

    Raises:
        ResultsError: no such file, another kind of file, or of another task.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ResultsError(
            f"{path}: there is no such file. Write one with `fairseq-signals evaluate ... --save {path}`."
        ) from None
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ResultsError(f"{path}: not a saved evaluation ({error})") from None
    found = str(arrays.get("task", ""))
    missing = [name for name in ("leads", *_ARRAYS.get(found, ())) if name not in arrays]
    if found not in _ARRAYS or missing or int(arrays.get("format", 0)) != FORMAT:
        raise ResultsError(
            f"{path}: not an evaluation saved by this version (task {found or 'none'}, format "
            f"{arrays.get('format', 'none')}, missing {', '.join(missing) or 'nothing'}); evaluate again"
        )
    if task is not None and found != task:
        raise ResultsError(
            f"{path} is of {found}, but {task} was asked for: `fairseq-signals plot {found} {path}`"
        )
    leads = tuple(arrays["leads"].tolist())
    metrics = arrays["metrics"].tolist() if "metrics" in arrays else []
    measured = zip(leads, arrays["values"].tolist()) if metrics else ()
    values = {name: dict(zip(metrics, row)) for name, row in measured}
    notes = tuple(arrays["notes"].tolist()) if "notes" in arrays else ()
    return SavedEvaluation(found, str(arrays["method"]), str(arrays["counted"]), leads, arrays, values, notes)
