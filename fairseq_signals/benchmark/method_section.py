"""Each method by itself: how it was trained, its losses, its curves over leads and labels, its cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairseq_signals.benchmark.board_section import anchor
from fairseq_signals.benchmark.boards import Found, Run
from fairseq_signals.benchmark.drawing import Curve, axis_of, chart, named_axis
from fairseq_signals.benchmark.table import MEAN, cost_of
from fairseq_signals.benchmark.words import (
    PROTOCOL_TITLES,
    count,
    cpu_seconds,
    decimals_of,
    lead_title,
    value_text,
)
from fairseq_signals.errors import ConfigError
from fairseq_signals.report.page import Section, escape
from fairseq_signals.report.training_log import INNER, TRAIN, read_training_log

MOST_POINTS = 120  # of a curve of losses


def methods_section(run: Run) -> Section:
    """All methods, each folded."""
    section = Section("Methods")
    for name in run.methods:
        part = Section(run.title(name))
        part.facts(_facts(run, name))
        curves = [_losses(run, name), *(_over_leads(run, name, found) for found in run.main_boards())]
        part.add(f'<div class="charts">{"".join(filter(None, curves))}</div>')
        part.table(*_cells(run, name), n_left=4, folded="All its values")
        section.add(
            f'<details class="method" id="{escape(anchor(name))}">'
            f"<summary>{escape(run.title(name))}</summary>{part.body()}</details>"
        )
    return section


def _facts(run: Run, name: str) -> dict[str, str]:
    """How a method came to be."""
    settings, method = run.settings, run.settings.methods[name]
    updates, an_update = cost_of(settings, name)
    found = {
        "random weights of": method.random_of and run.title(method.random_of),
        "configuration": method.config and _below_examples(method.config),
        "overrides": "\n".join((*settings.pretrain.overrides, *method.overrides)) if method.config else "",
        "begins with": method.start and run.title(method.start),
        "model": method.model or method.onnx or method.object,
        "features": ", ".join(method.features or settings.features),
        "updates": count(updates) if method.config else "",
        "CPU seconds an update": count(an_update, 3) if method.config else "",
        "CPU seconds in all": count(cpu_seconds(run, name)) if method.config else "",
        "parameters": count(run.parameters.get(name)) if name in run.parameters else "",
    }
    return {key: value for key, value in found.items() if value}


def _below_examples(path: str) -> str:
    """A file of an example without what is before that, which is of this machine."""
    _, sign, rest = path.rpartition("/examples/")
    return f"examples/{rest}" if sign else path


def _losses(run: Run, name: str) -> str:
    """The loss over the updates of its pre-training, of each seed."""
    curves = []
    for seed in run.settings.seeds:
        folder = Path(run.settings.out) / "runs" / "pretrain" / name / f"seed{seed}"
        try:
            series = read_training_log(folder)
        except ConfigError:  # nothing was trained here, or its log is gone
            continue
        of = series.get(INNER) or series.get(TRAIN)
        if of is None or "loss" not in of.values:
            continue
        kept = np.unique(np.linspace(0, len(of) - 1, MOST_POINTS).round().astype(int)).tolist()
        curves.append(
            Curve(f"seed {seed}", [of.updates[i] for i in kept], [of.values["loss"][i] for i in kept])
        )
    if not curves:
        return ""
    x = axis_of("updates", [update for curve in curves for update in curve.x])
    y = axis_of("loss", [loss for curve in curves for loss in curve.y])
    return _titled("Loss of pre-training", chart(f"Loss of {run.title(name)} over updates", curves, x, y))


def _over_leads(run: Run, name: str, main: Found) -> str:
    """The metric of a task over lead sets, a line for each share of labels; of one lead set over shares."""
    boards = [
        found for found in run.boards
        if (found.board.task, found.board.protocol) == (main.board.task, main.board.protocol)
        and name in found.values[found.main]
    ]  # fmt: skip
    lead_sets = [leads for leads in main.values if not leads.endswith(MEAN)]  # nor the means of families
    if not boards or len(lead_sets) * len(boards) < 2:
        return ""
    if len(lead_sets) > 1:
        curves = [
            _curve(
                f"{found.board.fraction} % of labels", name, [(found, leads) for leads in lead_sets], not i
            )
            for i, found in enumerate(boards)
        ]
        x = named_axis("leads", lead_sets)
    else:
        boards.reverse()
        curves = [_curve("", name, [(found, lead_sets[0]) for found in boards], True)]
        x = named_axis("% of labels", [str(found.board.fraction) for found in boards])
    y = axis_of(main.metric_title, [v for c in curves for of in (c.y, c.low, c.high) for v in of])
    task = run.settings.tasks[main.board.task].title
    return _titled(task, chart(f"{task}: {main.metric_title} of {run.title(name)}", curves, x, y))


def _curve(title: str, name: str, points: list[tuple[Found, str]], with_band: bool) -> Curve:
    known = [(float(i), found.values[leads][name]) for i, (found, leads) in enumerate(points)
             if name in found.values[leads]]  # fmt: skip
    columns = ([value[i] for _, value in known] for i in range(3 if with_band else 1))
    return Curve(title, [x for x, _ in known], *columns)


def _cells(run: Run, name: str) -> tuple[list[str], list[list[str]]]:
    """All values of a method."""
    lines = []
    for found in run.boards:
        for leads, of in found.values.items():
            if name in of:
                shown, ends = value_text(of[name], decimals_of(found))
                task, protocol, fraction = found.board
                what = [run.settings.tasks[task].title, PROTOCOL_TITLES[protocol], lead_title(leads)]
                lines.append([*what, found.metric_title, f"{fraction} %", shown, ends])
    return ["task", "protocol", "leads", "metric", "labels", "value", "95 % interval"], lines


def _titled(title: str, html: str) -> str:
    return f'<div class="chart"><h4>{escape(title)}</h4>{html}</div>'
