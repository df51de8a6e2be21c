"""A report on a training in its parts: the model, its training, test results, recordings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_signals import __version__
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import FairseqSignalsError, LeadError
from fairseq_signals.evaluation.degradation import AT
from fairseq_signals.evaluation.results import table_cells
from fairseq_signals.evaluation.robustness import curves_of
from fairseq_signals.evaluation.saved_results import SavedEvaluation
from fairseq_signals.evaluation.summaries import is_drawn, lines_of
from fairseq_signals.files import write_text
from fairseq_signals.inference.description import facts, headline, options
from fairseq_signals.inference.results import Estimate
from fairseq_signals.report.figures import (
    classification_figures,
    identification_figure,
    record_figure,
    require_matplotlib,
    robustness_figure,
    saliency_figure,
    training_figure,
)
from fairseq_signals.report.page import Section, page
from fairseq_signals.report.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.recording import Recording

FOLD_FROM = 12  # classes
TOP = 5  # classes of a recording
#: What a picture of test results shows, by its name in `classification_figures`.
SHOWN = {
    "curves": "ROC and precision-recall curve of each class",
    "calibration": "Calibration: predicted probabilities against the share of records with the class",
    "confusion": "Confusion matrix as the CinC 2021 score counts it, and what each cell earns where classes "
    "are weighted",
}
ROBUSTNESS = "Robustness: a metric over the number of leads, the sampling rate and the amount of noise"
SALIENCY = (
    "Orange: how much the output changes with each sample. Blue: which moments it attends to. Neither is a "
    "diagnosis, nor proof of what the model uses."
)


def write_report(out: Path, run: Run, sections: Sequence[Section]) -> None:
    """Write the file: it appears when it is complete, or stays what it was."""
    what = "Training" if run.model is None else headline(run.model.describe())
    now = datetime.now(timezone.utc)
    made = f"fairseq-signals {__version__}, report of {now:%Y-%m-%d %H:%M} UTC."
    write_text(out, page(run.name, what[:1].upper() + what[1:], sections, made))


def model_section(run: Run) -> Section:
    """What the model is, and how it was trained."""
    section = Section("Model")
    if run.model is None or run.checkpoint is None:
        section.leave_out("There is no checkpoint in the folder yet, so what the model is cannot be said.")
        return section
    found = run.model.describe()
    tables = options(found)
    trained_on = tables["training: task"].get("data")
    progress = {key: f"{value:.6g}" for key, value in tables.pop("progress and metrics").items()}
    section.text(f"{run.checkpoint.name}: {headline(found)}.")
    section.facts({**facts(found), **({"training data": trained_on} if trained_on else {}), **progress})
    if found["labels"]:
        rows = [[entry["label"], entry["name"], ", ".join(entry["codes"]), f"{entry['threshold']:g}"]
                for entry in found["labels"]]  # fmt: skip
        folded = f"{len(rows)} classes" if len(rows) > FOLD_FROM else None
        if found["exclusive"]:  # the most probable class holds, whatever its threshold
            section.text("Exactly one of these classes holds.")
            rows = [row[:3] for row in rows]
        section.table(["label", "class", "codes", "above"][: len(rows[0])], rows, 3, folded)
    if found["targets"]:
        rows = [[name, unit, f"{mean:.4g}", f"{std:.4g}"]
                for name, unit, mean, std in zip(*found["targets"].values())]  # fmt: skip
        section.table(["target", "unit", "mean of the training records", "deviation"], rows, 2)
    for title, values in tables.items():
        if values:
            section.facts(values, folded=title[:1].upper() + title[1:])
    return section


def training_section(run: Run) -> Section:
    """Losses, perplexities, accuracies and scores over the updates, and what was logged last."""
    section = Section("Training")
    if not run.series:
        section.leave_out(run.no_log)
        return section
    names = list(dict.fromkeys(name for series in run.series.values() for name in series.values))
    losses = [name for name in names if name.endswith(("loss", "perplexity", "accuracy"))]
    alt = f"Training of {run.name} over its updates: {', '.join(losses)}"
    _draw(section, lambda: training_figure(run.series, run.name), alt)
    last = [[name, *(_last(series.values.get(name, ())) for series in run.series.values())] for name in names]
    updates = ["update", *(str(series.updates[-1]) for series in run.series.values())]
    section.table(["logged last", *run.series], [updates, *last], folded="Numbers that were logged last")
    return section


def results_section(saved: SavedEvaluation | None, why: str, leads: str | None = None) -> Section:
    """Table of the metrics by lead set, and the pictures of one lead set.

    Args:
        saved: the results; None where there are none.
        why: there are none.
        leads: the lead set; the first by default.
    """
    section = Section("Test results")
    if saved is None:
        section.leave_out(why)
        return section
    n = len(saved.arrays["probe_ids" if saved.task == "identification" else "record_ids"])
    section.text(f"{saved.method}: {saved.task} of {n} {saved.counted}. Leads outside a lead set are zeros.")
    if saved.values:
        header, cells = table_cells(saved.values, saved.intervals, saved.families)
        many = [line for line in cells if is_drawn(line[0]) or AT in line[0]]
        few = [line for line in cells if line not in many]
        section.table(header, few or cells)
        if few and many:
            section.table(header, many, folded="Numbers of random lead sets and degraded recordings")
    else:
        section.leave_out("The file of results has no table of metrics: save it again with evaluate --save.")
    for note in saved.notes:
        section.text(f"Note: {note}.")
    lines = list(lines_of(saved.values, saved.intervals, saved.families))
    if curves_of(lines, next(iter(lines[0].values), "") if lines else ""):
        _draw(section, lambda: robustness_figure({saved.method: lines}), ROBUSTNESS, f"{ROBUSTNESS}.")
    shown = saved.leads[0] if leads is None else leads
    if saved.task == "identification":
        alt = (
            "Identification: rank-k accuracy and ROC with equal error rate of each lead set; similarity "
            f"matrix and histogram of lead set {shown}"
        )
        _draw(section, lambda: identification_figure(saved, shown), alt)
        return section
    if saved.task == "regression":
        section.leave_out("There are no pictures of a regression.")
        return section
    figures: dict[str, Figure] = {}
    _attempt(section, "Pictures", lambda: figures.update(classification_figures(saved, shown)))
    for name, figure in figures.items():
        section.picture(figure, f"{SHOWN[name]}, lead set {shown}", f"{SHOWN[name]}.")
    if figures and "curves" not in figures:
        section.leave_out("ROC and PR curves are not drawn: no class has records with and without it.")
    return section


def recordings_section(run: Run, records: Sequence[Recording], lead_set: Sequence[int]) -> Section:
    """Each record on ECG paper with the leads that the model is given, and what the model says of it."""
    section = Section("Recordings")
    if not records:
        section.leave_out("No recordings are shown: name them with --record RECORD.")
    elif run.model is None:
        section.leave_out("Without a checkpoint, only the recordings are shown.")
    elif run.model.kind != "classification":
        section.leave_out(f"Saliency is of one class, and a {run.model.kind} model has none.")
    for record in records:
        section.heading(record.record_id)
        try:
            if run.model is None:
                _draw_record(section, record, None)
            else:
                _add_recording(section, run.model, record, lead_set)
        except FairseqSignalsError as error:
            section.leave_out(str(error))
    return section


def _add_recording(section: Section, model: ECGModel, record: Recording, lead_set: Sequence[int]) -> None:
    from fairseq_signals.inference.sources import Opener

    given = [lead for lead in record.leads if LEADS.index(lead) in lead_set and lead in model.leads]
    if not given:
        wanted = ", ".join(LEADS[i] for i in lead_set if LEADS[i] in model.leads)
        raise LeadError(f"record {record.record_id} has none of the leads {wanted}: choose others by --leads")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = Opener(leads=given).read(record)
        prediction = model.predict(recording) if model.kind in ("classification", "regression") else None
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        section.text(f"Warning: {message}")
    _draw_record(section, record, given)
    if prediction is None:
        return
    if isinstance(prediction, Estimate):
        units = prediction.targets.units
        rows = [[name, f"{value:.4g}", unit] for (name, value), unit in zip(prediction.items(), units)]
        section.table(["target", "estimate", "unit"], rows)
        return
    limits, positive = model.thresholds, prediction.positive
    rows = [[label, f"{value:.3f}", f"{limits[label]:g}", "yes" if label in positive else "no"]
            for label, value in prediction.top(TOP)]  # fmt: skip
    if model.exclusive:  # the first holds, whatever its threshold
        rows = [row[:2] for row in rows]
    section.table(["most probable", "probability", "threshold", "above"][: len(rows[0])], rows)
    label = prediction.top(1)[0][0]
    alt = f"Recording {record.record_id}, all leads, and where the model looked for {label}"
    _draw(section, lambda: saliency_figure(model, record, recording, label), alt, SALIENCY)


def _draw_record(section: Section, record: Recording, given: list[str] | None) -> None:
    indices = None if given is None else tuple(LEADS.index(lead) for lead in given)
    to_model = "" if given is None else f"; given to the model: {', '.join(given)}"
    alt = f"Recording {record.record_id} on ECG paper, leads {', '.join(record.leads)}{to_model}"
    _draw(section, lambda: record_figure(record, indices), alt)


def _draw(section: Section, make: Callable[[], Figure], alt: str, caption: str = "") -> None:
    """Add a picture, or the reason why there is none."""
    _attempt(section, alt, lambda: section.picture(make(), alt, caption))


def _attempt(section: Section, what: str, draw: Callable[[], None]) -> None:
    try:
        require_matplotlib()
        draw()
    except FairseqSignalsError as error:
        section.leave_out(f"Not drawn: {what}. {error}")


def _last(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return f"{finite[-1]:.5g}" if finite else ""
