"""One recording in the usual layout: three rows of four leads, 2.5 s each, and a rhythm strip below.

The leads follow each other in time, as a recorder prints them: column k shows the seconds from 2.5 k on.
Where a recording ends before a column does, that column shows the last 2.5 s, so that every lead is seen.
Leads that a model was not given are grey, and those that the recording does not have are an empty line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Dict, Optional, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.plots.ecg_paper import (
    GAIN_MM_MV,
    HALO,
    LARGE_MM,
    SPEED_MM_S,
    draw_calibration,
    draw_grid,
    draw_header,
    draw_lead,
    new_page,
    room,
)

PAGE_S, COLUMN_S = 10.0, 2.5
ROWS: Tuple[Tuple[int, ...], ...] = ((0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11))
RHYTHM = 1  # lead II, or where a recording lacks it the first that it has

_MARGIN, _HEADER, _PULSE_AREA = 8.0, 12.0, 10
_LEAST_UP, _LEAST_DOWN, _MOST = 15, 10, 30
_TRACE: Dict[str, Any] = {"color": "black", "linewidth": 0.65, "zorder": 3}
_NOT_GIVEN: Dict[str, Any] = {"color": "#8f9aa5", "linewidth": 0.65, "zorder": 3}
_ABSENT: Dict[str, Any] = {"color": "#8f9aa5", "linewidth": 0.8, "linestyle": (0, (4, 4)), "zorder": 3}
MEDIAN_NOTE = "   each lead about its median"
SHORT_NOTE = "   columns that it does not fill show its last 2.5 s"
GIVEN_TEXT, NOT_GIVEN_TEXT, ABSENT_TEXT = "given to the model", "not given", "not recorded"


def centred(signal_mv: np.ndarray) -> np.ndarray:
    """Each lead (12, T) about its median, as a recorder's high-pass filter does; absent leads stay zeros."""
    return signal_mv - np.median(signal_mv, axis=1, keepdims=True)


def draw_record(
    signal_mv: np.ndarray,
    fs: float,
    present: Sequence[int],
    caption: str,
    given: Optional[Sequence[int]] = None,
) -> Figure:
    """A page with one recording.

    Args:
        signal_mv: (12, T) in mV, absent leads zeros; what is after PAGE_S is not drawn.
        fs: sampling rate in Hz.
        present: indices of the leads that were recorded.
        caption: what stands above.
        given: indices of the leads that a model was given; None: it is not about a model.
    """
    page = centred(signal_mv[:, : round(PAGE_S * fs)])
    rhythm = RHYTHM if RHYTHM in present else min(present)
    n = page.shape[1]
    # of each row the lead, its place in seconds, how long it is, and the samples that it shows
    rows = [[(lead, k * COLUMN_S, COLUMN_S, _span(k, fs, n)) for k, lead in enumerate(row)] for row in ROWS]
    rows.append([(rhythm, 0.0, PAGE_S, slice(n))])
    rooms = []
    for row in rows:
        shown = [page[lead, samples] for lead, _, _, samples in row if lead in present]
        joined = np.concatenate([np.zeros(1), *shown])
        rooms.append(room(joined * GAIN_MM_MV, _LEAST_UP, _LEAST_DOWN, _MOST))
    width = _PULSE_AREA + round(PAGE_S * SPEED_MM_S) + LARGE_MM
    height = sum(up + down for up, down in rooms) + 2 * LARGE_MM
    figure, axes = new_page(width + 2 * _MARGIN, height + 2 * _MARGIN + _HEADER)
    top = height + _MARGIN
    note = SHORT_NOTE if n < round(PAGE_S * fs) else ""
    legend = [] if given is None else [(_TRACE, GIVEN_TEXT), (_NOT_GIVEN, NOT_GIVEN_TEXT)]
    if len(present) < len(LEADS):
        legend.append((_ABSENT, ABSENT_TEXT))
    draw_header(axes, _MARGIN, top + _HEADER, width + _MARGIN, caption, f"{MEDIAN_NOTE}{note}", legend)
    sheet = draw_grid(axes, _MARGIN, _MARGIN, width, height)
    left, top = _MARGIN + _PULSE_AREA, top - LARGE_MM
    for row, (up, down) in zip(rows, rooms):
        zero = top - up
        draw_calibration(axes, _MARGIN + LARGE_MM / 2, zero, **_TRACE)
        for lead, begin_s, seconds, samples in row:
            x = left + begin_s * SPEED_MM_S
            _draw_cell(axes, sheet, x, zero, lead, page[lead, samples], fs, present, given, seconds)
        top -= up + down
    return figure


def style_of(lead: int, present: Sequence[int], given: Optional[Sequence[int]]) -> Tuple[Dict[str, Any], str]:
    """How a lead is drawn, and what stands beside its name."""
    if lead not in present:
        return _ABSENT, ABSENT_TEXT
    if given is not None and lead not in given:
        return _NOT_GIVEN, NOT_GIVEN_TEXT
    return _TRACE, ""


def _draw_cell(
    axes: Axes,
    sheet: Rectangle,
    x: float,
    zero: float,
    lead: int,
    trace_mv: np.ndarray,
    fs: float,
    present: Sequence[int],
    given: Optional[Sequence[int]],
    seconds: float,
) -> None:
    """A lead's name, a tick where it begins, and its trace."""
    style, note = style_of(lead, present, given)
    if lead in present:
        draw_lead(axes, sheet, x, zero, trace_mv, fs, **style)
    else:
        axes.plot([x, x + seconds * SPEED_MM_S], [zero, zero], **style)
    axes.plot([x, x], [zero - 2, zero + 2], color="black", linewidth=0.5, zorder=2)
    color = style["color"]
    name = axes.annotate(LEADS[lead], (x + 1.5, zero + 9), fontsize=9, weight="bold", color=color, zorder=4,
                         path_effects=[HALO])  # fmt: skip
    if note:
        axes.annotate(
            note, (1, 0), xycoords=name, xytext=(3, 0), textcoords="offset points", fontsize=7, color=color,
            va="bottom", zorder=4, path_effects=[HALO],
        )  # fmt: skip


def _span(column: int, fs: float, n: int) -> slice:
    """The samples of a recording of n that a column shows."""
    start, stop = round(column * COLUMN_S * fs), round((column + 1) * COLUMN_S * fs)
    return slice(start, stop) if stop <= n else slice(max(0, n - (stop - start)), n)
