"""The leaderboard proper: of each board its values with bars, and which orders the data decide."""

from __future__ import annotations

import math

from fairseq_signals.benchmark.boards import Found, Run, Value
from fairseq_signals.benchmark.words import (
    PROTOCOL_TITLES,
    UNKNOWN,
    against_text,
    board_title,
    decimals_of,
    lead_title,
    number,
    value_text,
)
from fairseq_signals.report.page import Section, escape, scrolling

CHOICE = """<form class="choice" aria-label="What to show" hidden>
<label>Task <select name="task"></select></label>
<label>Protocol <select name="protocol"></select></label>
<label>Labels <select name="fraction"></select></label>
<label>Leads <select name="leads"></select></label>
</form>"""


def boards_section(run: Run) -> Section:
    """All boards, of which the page shows one at a time."""
    section = Section("Leaderboard")
    section.add(CHOICE)
    for i, found in enumerate(run.boards):
        section.add(_board(run, found, is_open=not i))
    return section


def anchor(method: str) -> str:
    """The place of a method on the page."""
    return f"method-{method}"


def _board(run: Run, found: Found, is_open: bool) -> str:
    task, protocol, fraction = found.board
    records, patients = found.sizes
    given = {
        "task": task, "task-title": run.settings.tasks[task].title, "protocol": protocol,
        "protocol-title": PROTOCOL_TITLES[protocol], "fraction": str(fraction),
        "fraction-title": f"{fraction} %", "main": found.main,
    }  # fmt: skip
    data = " ".join(f'data-{name}="{escape(value)}"' for name, value in given.items())
    title = escape(board_title(run, found.board))
    what = escape(f"{found.metric_title} on {found.corpus}: {records:,} records of {patients:,} patients.")
    parts = [_values(run, found), *(_pairs(run, found, leads) for leads in found.pairs)]
    return (
        f'<details class="board" {data}{" open" * is_open}><summary>{title}</summary><p>{what}</p>'
        f"{''.join(parts)}</details>"
    )


def _values(run: Run, found: Found) -> str:
    """The table of values: a row a method, a column a lead set."""
    low, high = scale_of(found)
    decimals = decimals_of(found)
    first = "ascending" if found.lower_is_better else "descending"
    head = '<th scope="col">method</th>' + "".join(
        f'<th scope="col" data-leads="{escape(leads)}" data-first="{first}">{escape(lead_title(leads))}</th>'
        for leads in found.values
    )
    rows = []
    for name in found.ranked(found.main):
        link = f'<a href="#{escape(anchor(name))}">{escape(run.title(name))}</a>'
        cells = "".join(
            _value(leads, of.get(name), low, high, decimals) for leads, of in found.values.items()
        )
        rows.append(f'<tr><th scope="row">{link}</th>{cells}</tr>')
    title = board_title(run, found.board)
    caption = (
        f"{title}. {found.metric_title} with 95 % intervals; bars from {number(low, 2)} to {number(high, 2)}."
    )
    table = (
        f'<table class="sortable"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return scrolling(table, f"Values, {title}")


def scale_of(found: Found) -> tuple[float, float]:
    """From where to where bars go: round numbers around all intervals."""
    ends = [end for of in found.values.values() for value in of.values() for end in value[:3]]
    known = [end for end in ends if math.isfinite(end)]
    if found.lower_is_better:
        return 0.0, max(known, default=1.0)
    low, high = min(known, default=0.0), max(known, default=1.0)
    return math.floor(low * 10 - 1e-9) / 10, math.ceil(high * 20 - 1e-9) / 20


def _value(leads: str, value: Value | None, low: float, high: float, decimals: int) -> str:
    if value is None:
        return f'<td class="value" data-leads="{escape(leads)}" data-value="NaN">{UNKNOWN}</td>'
    shown, ends = value_text(value, decimals)

    def place(end: float) -> float:
        return 100 * (end - low) / ((high - low) or 1.0)

    places = {"v": place(value.value)}
    if ends:
        places |= {"l": place(value.low), "w": place(value.high) - place(value.low)}
    style = ";".join(f"--{name}:{at:.1f}%" for name, at in places.items() if math.isfinite(at))
    return (
        f'<td class="value" data-leads="{escape(leads)}" data-value="{value.value:.6g}">{shown} '
        f'<small>{ends}</small><span class="bar" style="{style}"></span></td>'
    )


def _pairs(run: Run, found: Found, leads: str) -> str:
    """The matrix of a lead set: by how much each method is better than those after it, if decided."""
    ranked, decimals = found.ranked(leads), decimals_of(found)
    of = found.pairs[leads]
    n_decided = sum(pair.decided for pair in of.values())
    head = '<th scope="col">better than</th>' + "".join(
        f'<th scope="col" title="{escape(run.title(name))}">{i}</th>' for i, name in enumerate(ranked[1:], 2)
    )
    rows = []
    for i, name in enumerate(ranked[:-1]):
        cells = ["<td>"] * i
        for than in ranked[i + 1 :]:
            pair = of.get((name, than))
            if pair is None:
                cells.append("<td>")
                continue
            shown, ends = against_text(pair, decimals)
            mark = "" if pair.decided else "≈ "
            kind = "decided" if pair.decided else "open"
            cells.append(f'<td class="{kind}">{mark}{shown}<small>{ends}</small>')
        rows.append(f'<tr><th scope="row">{i + 1} {escape(run.title(name))}</th>{"".join(cells)}</tr>')
    title = f"{lead_title(leads)}: {n_decided} of {len(of)} orders are decided"
    caption = (
        f"{lead_title(leads)}: row less column, with the 95 % interval. Columns are the ranks of the rows. "
        "≈ marks orders that the data do not decide (Holm's correction for all pairs)."
    )
    table = (
        f'<table class="matrix"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return (
        f'<details class="pairs" data-leads="{escape(leads)}"><summary>Pairs, {escape(title)}</summary>'
        f"{scrolling(table, f'Pairs, {title}')}</details>"
    )
