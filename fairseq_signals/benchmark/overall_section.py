"""All tasks together: main values, mean ranks and what they decide, and what quality costs."""

from __future__ import annotations

import math

import numpy as np

from fairseq_signals.benchmark.board_section import anchor
from fairseq_signals.benchmark.boards import Run
from fairseq_signals.benchmark.critical_difference import FEWEST, rank_methods
from fairseq_signals.benchmark.drawing import Axis, axis_of, critical_difference_diagram, scatter
from fairseq_signals.benchmark.scores import LEVEL, ranks
from fairseq_signals.benchmark.table import cost_of
from fairseq_signals.benchmark.words import (
    PROTOCOL_TITLES,
    UNKNOWN,
    count,
    cpu_seconds,
    decimals_of,
    lead_title,
    number,
)
from fairseq_signals.report.page import Section, escape, scrolling


def overall_section(run: Run) -> Section:
    """A line a method: its value in each task, by the task's first protocol, and its mean rank."""
    section = Section("All tasks")
    boards = run.main_boards()
    ranked, cells = run.cells()
    mean_rank = dict(zip(ranked, ranks(cells).mean(axis=0) if ranked else ()))
    section.text(
        "Each task by its first protocol, with all labels. Choose another below. The mean rank is over these "
        f"{len(boards)} columns; 1 would be first in all of them."
    )
    heads = [
        (f"{run.settings.tasks[f.board.task].title}", f.corpus, f"{PROTOCOL_TITLES[f.board.protocol]}, "
         f"{lead_title(f.main)}", f.metric_title, f.lower_is_better) for f in boards
    ]  # fmt: skip
    head = '<th scope="col">method</th><th scope="col" class="number">mean rank</th>' + "".join(
        f'<th scope="col" class="number" data-first="{"ascending" if lower else "descending"}" '
        f'title="{escape(f"{corpus}; {how}")}">{escape(task)}: {escape(metric)}</th>'
        for task, corpus, how, metric, lower in heads
    )
    rows = []
    for name in sorted(run.methods, key=lambda name: mean_rank.get(name, math.inf)):
        rank = mean_rank.get(name, math.nan)
        values = [(f.values[f.main].get(name), f) for f in boards]
        shown = "".join(
            _cell(value.value, decimals_of(f)) if value else _cell(math.nan) for value, f in values
        )
        link = f'<a href="#{escape(anchor(name))}">{escape(run.title(name))}</a>'
        rows.append(f'<tr><th scope="row">{link}</th>{_cell(rank, 2)}{shown}</tr>')
    caption = "Main values; the intervals are in the leaderboard."
    table = (
        f'<table class="sortable"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    section.add(f'<div class="overall">{scrolling(table, "Main values")}</div>')
    _add_ranking(section, run, ranked, cells)
    return section


def _cell(value: float, decimals: int = 3) -> str:
    data = "NaN" if math.isnan(value) else f"{value:.6g}"
    return f'<td class="number" data-value="{data}">{number(value, decimals)}</td>'


def _add_ranking(section: Section, run: Run, names: list[str], cells: np.ndarray) -> None:
    """The diagram of critical differences, or why there is none."""
    section.heading("Which mean ranks differ")
    n_cells, n_methods = cells.shape
    if n_cells < FEWEST or n_methods < 3:
        section.leave_out(
            f"There is no diagram of critical differences: it takes {FEWEST} tasks on a corpus or more, and "
            f"three methods that have them all. Here are {n_cells} and {n_methods}. With so few, mean ranks "
            "decide next to nothing; the pairs in each table below do."
        )
        return
    ranking = rank_methods(cells)
    section.text(
        f"Friedman's test that all are alike: chi-squared {ranking.chi2:.2f}, p {ranking.p:.2g}, of "
        f"{n_methods} methods in {n_cells} task-corpus cells. Two methods differ (Nemenyi, {LEVEL:.0%}) "
        f"whose mean ranks are {ranking.difference:.2f} or more apart; bars join those that do not."
    )
    if ranking.p >= LEVEL:
        section.leave_out("Friedman's test finds no difference, so that none of the orders is decided.")
    titles = [run.title(name) for name in names]
    alt = "Critical differences. Mean ranks: " + ", ".join(
        f"{titles[i]} {ranking.mean_ranks[i]:.2f}" for i in np.argsort(ranking.mean_ranks, kind="stable")
    )
    section.add(scrolling(critical_difference_diagram(alt, titles, ranking), "Critical differences"))


def cost_section(run: Run) -> Section:
    """What each method cost, beside what it reaches in the first task."""
    section = Section("Cost against quality")
    found = run.main_boards()[0]
    names = found.ranked(found.main)
    task = run.settings.tasks[found.board.task].title
    quality = {name: found.values[found.main][name].value for name in names}
    seconds = {name: cpu_seconds(run, name) for name in names}
    sizes = {name: float(run.parameters.get(name, math.nan)) for name in names}
    y = axis_of(f"{task}: {found.metric_title}", quality.values())
    section.text(
        f"{task}, {found.metric_title}, {lead_title(found.main)}; the numbers in the drawings are the ranks "
        "of the table. Pre-training cost is updates times CPU seconds an update, as measured once."
    )
    drawings = [
        _points("CPU seconds of pre-training", names, seconds, quality, y),
        _points("parameters of the encoder", names, sizes, quality, y),
    ]
    section.add(f'<div class="charts">{"".join(drawings)}</div>')
    lines = []
    for i, name in enumerate(names, 1):
        updates, an_update = cost_of(run.settings, name)
        cost = [count(updates), count(an_update, 3), count(seconds[name]), count(run.parameters.get(name))]
        lines.append([f"{i} {run.title(name)}", number(quality[name], decimals_of(found)), *cost])
    header = ["method", found.metric_title, "updates", "CPU s an update", "CPU s", "parameters"]
    section.table(header, lines)
    section.text(f"{UNKNOWN} where nothing was trained here, or nothing is known.")
    return section


def _points(title: str, names: list[str], cost: dict[str, float], quality: dict[str, float], y: Axis) -> str:
    known = [(str(i), cost[name], quality[name]) for i, name in enumerate(names, 1) if cost[name] >= 0]
    if not known:
        return ""
    return scatter(f"{y.title} over {title}", known, axis_of(title, [cost for _, cost, _ in known]), y)
