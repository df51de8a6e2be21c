"""Figures of recordings, results and trainings, out of records and what was saved or logged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairseq_signals.checkpoints.input_format import SEGMENT_S, InputFormat
from fairseq_signals.ecg.leads import LEADS, parse_leads
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.ecg.resample import resampled_length
from fairseq_signals.errors import ConfigError, LeadError, SignalError, optional_library
from fairseq_signals.evaluation.results import METRIC_TITLES, ResultsError
from fairseq_signals.evaluation.robustness import curves_of
from fairseq_signals.evaluation.saved_results import SavedEvaluation
from fairseq_signals.evaluation.summaries import Line
from fairseq_signals.files import whole_file
from fairseq_signals.inference.model_input import ModelInput
from fairseq_signals.report.training_log import INNER, TRAIN, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fairseq_signals.inference.model import ECGModel
    from fairseq_signals.inference.recording import Recording

SHOWN_LEADS = ("I", "II", "V2")
DPI = 200
ROBUST_METRICS = ("macro_auroc", "accuracy")


def require_matplotlib() -> None:
    """Raise MissingLibraryError where matplotlib is not installed."""
    optional_library("matplotlib", "a picture", "plot")


def require_kind(out: Path) -> None:
    """Raise ConfigError where pictures cannot be written in the format of the file's suffix."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if out.suffix[1:].lower() not in kinds:
        raise ConfigError(f"--out {out}: cannot write {out.suffix or 'a file without suffix'}. "
                          f"Possible: {', '.join(f'.{name}' for name in sorted(kinds))}")  # fmt: skip


def save(figure: Figure, out: Path) -> None:
    """Write a figure in the format of the file's suffix, or leave nothing behind."""
    from fairseq_signals.plots.axes import write_figure

    with whole_file(out) as partial:
        write_figure(figure, partial, format=out.suffix[1:].lower(), dpi=DPI)


def record_figure(record: Recording, given: tuple[int, ...] | None = None, start_s: float = 0.0) -> Figure:
    """The picture of a recording in the usual layout.

    Args:
        record: the recording.
        given: the leads that a model is given; None: it is not about a model.
        start_s: where to begin.

    Raises:
        SignalError: the record ends before `start_s`.
    """
    from fairseq_signals.plots.record import PAGE_S, draw_record

    seconds = resampled_length(record.n_samples, record.fs, DEFAULT_FS) / DEFAULT_FS
    if start_s >= seconds:
        raise SignalError(
            f"record {record.record_id} has {seconds:g} s, so it cannot be drawn from {start_s:g} s on: "
            f"choose an earlier --start"
        )
    shown = f"{start_s:g} to {min(start_s + PAGE_S, seconds):g} s of {seconds:g} s"
    present = parse_leads(list(record.leads))
    signal_mv = twelve_leads(record, DEFAULT_FS, start_s, PAGE_S)
    return draw_record(signal_mv, DEFAULT_FS, present, f"{record.record_id}: {shown}", given)


def transforms_figure(
    record: Recording, seed: int = 1, leads: str | None = None, seconds: float = SEGMENT_S
) -> Figure:
    """The picture of what each signal transform does to the beginning of a record.

    Args:
        record: the recording.
        seed: of all transforms.
        leads: what to draw, see `choose_leads`.
        seconds: how much to draw, at most; transforms see this much too.

    Raises:
        LeadError: a lead that does not exist, or not in this record.
    """
    from fairseq_signals.plots.transforms import draw_transforms, transform_panels

    shown = choose_leads(record, leads)
    signal_mv = twelve_leads(record, seconds=seconds)
    panels = transform_panels(signal_mv, DEFAULT_FS, seed)
    caption = f"{record.record_id}: {signal_mv.shape[1] / DEFAULT_FS:g} s, seed {seed}"
    return draw_transforms(signal_mv, DEFAULT_FS, shown, panels, caption)


def choose_leads(record: Recording, spec: str | None) -> tuple[int, ...]:
    """The indices of the leads to draw, all of which the record has; SHOWN_LEADS by default."""
    if spec is None:
        present = [name for name in SHOWN_LEADS if name in record.leads] or record.leads[:3]
        return parse_leads(list(present))
    chosen = parse_leads(spec)
    absent = [LEADS[i] for i in chosen if LEADS[i] not in record.leads]
    if absent:
        raise LeadError(
            f"record {record.record_id} has no lead {', '.join(absent)}. It has {', '.join(record.leads)}."
        )
    return chosen


def saliency_figure(
    model: ECGModel,
    record: Recording,
    recording: Recording,
    label: str,
    attention: str = "rollout",
    start_s: float = 0.0,
    seconds: float = math.inf,
) -> Figure:
    """The picture of where a classifier looked for one class; `recording` is what it is given of `record`.

    Args:
        start_s, seconds: the stretch that it is given, of which the beginning is drawn; whole segments.
    """
    from fairseq_signals.inference.saliency import saliency
    from fairseq_signals.plots.saliency import draw_saliency, smoothed

    found = saliency(model, recording, label, attention, start_s, seconds)
    length_s = found.gradient.shape[1] / model.fs
    signal_mv = twelve_leads(record, model.fs, found.start_s, length_s)
    above = "above" if found.probability > found.threshold else "not above"
    caption = (
        f"{record.record_id}: {found.label}, probability {found.probability:.3f}, {above} {found.threshold:g}"
    )
    if recording.n_samples / recording.fs > length_s + 1 / model.fs:
        caption += f"; from {found.start_s:g} to {found.start_s + length_s:g} s"
    explained = (
        "orange: |gradient| of the logit, mean over 50 ms, one scale for all leads;   "
        f"blue: attention {'rollout' if attention == 'rollout' else 'of the last layer'}, relative;   "
        "dashed: segments, which the model sees one at a time"
    )
    present, given = parse_leads(list(record.leads)), parse_leads(list(recording.leads))
    given = tuple(lead for lead in given if LEADS[lead] in model.leads)
    gradient = smoothed(found.gradient, model.fs)
    return draw_saliency(signal_mv, model.fs, present, given, gradient, found.attention, caption,
                         found.segment_starts_s, explained)  # fmt: skip


def twelve_leads(
    record: Recording, fs: float = DEFAULT_FS, start_s: float = 0.0, seconds: float = math.inf
) -> np.ndarray:
    """A stretch of a record on all twelve leads at `fs` Hz, (12, T) float32 in mV; absent leads are zeros."""
    taken = ModelInput(record, InputFormat(fs=fs))
    start = round(start_s * fs)
    return taken.stretch(start, min(taken.n_samples, start + round(min(seconds * fs, taken.n_samples))))


def classification_figures(
    saved: SavedEvaluation, leads: str | None = None, threshold: float | None = None
) -> dict[str, Figure]:
    """The pictures of a classifier on one lead set, by name."""
    from fairseq_signals.plots.axes import lead_set_name
    from fairseq_signals.plots.classification import draw_calibration, draw_confusion, draw_curves

    leads = saved.leads[0] if leads is None else leads
    probabilities = saved.arrays["probabilities"][saved.index(leads)].astype(np.float64)
    labels, names = saved.arrays["labels"], saved.arrays["names"].tolist()
    title = f"{saved.method}: {len(labels)} {saved.counted}, {lead_set_name(leads)}"
    figures = {"curves": draw_curves(labels, probabilities, names, title),
               "calibration": draw_calibration(labels, probabilities, names, title)}  # fmt: skip
    limit = saved.threshold if threshold is None else threshold
    predictions = saved.predicted(leads, limit)
    title = f"{title}, predicted " + ("as the most probable" if limit is None else f"above {limit:g}")
    figures["confusion"] = draw_confusion(labels, predictions, names, title, saved.arrays.get("weights"))
    return {name: figure for name, figure in figures.items() if figure is not None}


def identification_figure(saved: SavedEvaluation, leads: str | None = None) -> Figure:
    """The picture of an identification model, its matrix and histogram of one lead set.

    Curves are of that lead set and of those that are of no family.
    """
    from fairseq_signals.plots.identification import draw_identification

    first = saved.leads[0] if leads is None else saved.leads[saved.index(leads)]
    order = dict.fromkeys([first, *saved.alone])
    similarity = {name: saved.similarity(name) for name in order}
    ids = (saved.arrays["gallery_ids"], saved.arrays["probe_ids"])
    try:
        return draw_identification(similarity, *ids, f"{saved.method}: {len(ids[1])} {saved.counted}")
    except ValueError as error:
        raise ResultsError(f"{saved.method}: {error}") from None


def robustness_figure(lines: Mapping[str, Iterable[Line]], metric: str | None = None) -> Figure:
    """The picture of robustness curves.

    Args:
        lines: by method, its results on lead sets.
        metric: what is drawn; by default the first of `ROBUST_METRICS` that there is, or the first of all.

    Raises:
        ResultsError: a method has no curve of it.
    """
    from fairseq_signals.plots.robustness import draw_robustness

    known = {method: list(of) for method, of in lines.items()}
    names = list(dict.fromkeys(name for of in known.values() for line in of for name in line.values))
    metric = metric or next((name for name in (*ROBUST_METRICS, *names) if name in names), "")
    curves = {method: curves_of(of, metric) for method, of in known.items()}
    without = [method for method, of in curves.items() if not of]
    if without or not curves:
        whose = f" of {', '.join(without)}" if len(without) < len(curves) else ""
        raise ResultsError(
            f"no robustness curve of {metric or 'any metric'}{whose}: make one with "
            "`fairseq-signals evaluate ... --robustness leads,rate,noise --json FILE`"
            + (f"; of metrics there are {', '.join(names)}" if names else "")
        )
    title = next(iter(curves)) if len(curves) == 1 else f"{len(curves)} methods"
    return draw_robustness(curves, METRIC_TITLES.get(metric, metric), f"{title}: robustness")


def training_figure(series: dict[str, Series], title: str) -> Figure:
    """The picture of a training: of entries within epochs and of their means, those that are more."""
    from fairseq_signals.plots.training import draw_training

    inner, epochs = series.get(INNER, Series()), series.get(TRAIN, Series())
    shown = {TRAIN: inner if len(inner) > len(epochs) else epochs}
    shown.update({who: found for who, found in series.items() if who not in (INNER, TRAIN)})
    try:
        return draw_training({who: (s.updates, s.values) for who, s in shown.items() if len(s)}, title)
    except ValueError as error:
        raise ConfigError(f"{title}: {error}") from None
