"""How tables and pages of the benchmark write values, lead sets, protocols and costs."""

from __future__ import annotations

import math
import re

from fairseq_signals.benchmark.boards import Against, Found, Run, Value
from fairseq_signals.benchmark.entries import ATTENTIVE, COSINE, FINETUNED, KNN, LINEAR, ONCE
from fairseq_signals.benchmark.table import MEAN, Board, cost_of

PROTOCOL_TITLES = {
    LINEAR: "linear probe, one for each lead set",
    ONCE: "one linear probe, trained on 12 leads",
    ATTENTIVE: "attentive probe",
    KNN: "nearest neighbours",
    COSINE: "cosine similarity, nothing trained",
    FINETUNED: "fine-tuned",
}
UNKNOWN = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def lead_title(leads: str) -> str:
    """A lead set as the head of a column."""
    if leads == MEAN:
        return "mean of lead sets"
    return f"{leads} lead{'s' * (leads != '1')}" if leads.isdecimal() else leads


def board_title(run: Run, board: Board) -> str:
    """Task, protocol and share of the labels."""
    task, protocol, fraction = board
    return f"{run.settings.tasks[task].title}: {PROTOCOL_TITLES[protocol]}, {fraction} % of the labels"


def number(value: float, decimals: int = 3, signed: bool = False) -> str:
    """A metric, or a difference with its sign; without the zero before the point, as columns are narrow."""
    if math.isnan(value):
        return UNKNOWN
    text = f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", _MINUS)
    return re.sub(r"^(\D?)0\.", r"\1.", text)


def decimals_of(found: Found) -> int:
    """How many digits its values have: errors are in units of their targets."""
    return 2 if found.lower_is_better else 3


def value_text(value: Value, decimals: int) -> tuple[str, str]:
    """A value, and its interval or nothing."""
    return number(value.value, decimals), _ends(value.low, value.high, decimals)


def against_text(pair: Against, decimals: int) -> tuple[str, str]:
    """A difference, and its interval or nothing."""
    return number(pair.difference, decimals, True), _ends(pair.low, pair.high, decimals)


def _ends(low: float, high: float, decimals: int) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, decimals)}, {number(high, decimals)}]"


def cpu_seconds(run: Run, name: str) -> float:
    """Of all that a row was trained here, the method that it begins with included; NaN: not known."""
    updates, seconds = cost_of(run.settings, name)
    if updates is None:
        return math.nan
    start = run.settings.methods[name].start
    return updates * (seconds or 0.0) + (cpu_seconds(run, start) if start else 0.0)


def count(value: float | None, decimals: int = 0) -> str:
    """A number of things or seconds, or a dash."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:,.{decimals}f}"
