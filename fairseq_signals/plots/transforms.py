"""Each signal transform on one recording, the original in grey behind it (as Oh et al., Figure 3B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.plots.ecg_paper import (
    GAIN_MM_MV,
    LARGE_MM,
    PULSE_MV,
    SPEED_MM_S,
    draw_calibration,
    draw_grid,
    draw_header,
    draw_lead,
    new_page,
    room,
    up_to_grid,
)
from fairseq_signals.transforms.base import Compose
from fairseq_signals.transforms.build import RANDOM_LEAD_MASKING, build_transform

#: Title of each panel, and the transforms that it shows one after the other.
PANELS: Dict[str, Tuple[str, ...]] = {
    "Random lead masking (RLM)": (RANDOM_LEAD_MASKING,),
    "3KG": ("vcg_rotation", "time_mask"),
    "VCG rotation and scaling": ("vcg_rotation",),
    "Time masking": ("time_mask",),
    "Powerline noise": ("powerline_noise",),
    "Baseline shift": ("baseline_shift",),
    "EMG noise": ("emg_noise",),
    "Baseline wander": ("baseline_wander",),
    "Window noise": ("window_noise",),
}
#: Panels side by side: the first that does not make a page more than twice as high as wide.
COLUMNS = (2, 3, 4)

# Millimetres of the page
_MARGIN, _GAP, _HEADER, _TITLE = 8.0, 6.0, 12.0, 10.0
_PULSE_AREA = 10  # left of the leads
_LEAST_UP, _LEAST_DOWN, _MOST = 10, 5, 40  # room of a lead above and below 0 mV

_ORIGINAL: Dict[str, Any] = {"color": "#7d8a97", "linewidth": 1.0, "zorder": 2}
_CHANGED: Dict[str, Any] = {"color": "black", "linewidth": 0.65, "zorder": 3}


@dataclass(frozen=True)
class Panel:
    """One transform's result: `changed` is (12, T) in mV."""

    title: str
    names: Tuple[str, ...]
    changed: np.ndarray


def transform_panels(signal_mv: np.ndarray, fs: float, seed: int) -> List[Panel]:
    """What each transform with its default parameters makes of twelve leads (12, T) in mV at `fs` Hz."""
    panels = []
    for i, (title, names) in enumerate(PANELS.items()):
        transform = Compose([build_transform(name, fs) for name in names])
        changed = transform(signal_mv.astype(np.float32), np.random.default_rng([seed, i]))
        panels.append(Panel(title, names, changed))
    return panels


@dataclass(frozen=True)
class Layout:
    """Where the panels are on the page; lengths in mm.

    Attributes:
        rows: panels side by side.
        rooms: for each row, the room of each lead above and below 0 mV.
        width: of a panel's paper.
    """

    rows: List[Sequence[Panel]]
    rooms: List[List[Tuple[int, int]]]
    width: int

    @property
    def page(self) -> Tuple[float, float]:
        """Width and height of the page."""
        columns, n = len(self.rows[0]), len(self.rows)
        heights = sum(paper_height(rooms) for rooms in self.rooms)
        return (
            2 * _MARGIN + columns * self.width + (columns - 1) * _GAP,
            2 * _MARGIN + _HEADER + heights + n * _TITLE + (n - 1) * _GAP,
        )


def paper_height(rooms: Sequence[Tuple[int, int]]) -> int:
    """Height of the paper of leads with these rooms, in mm."""
    return LARGE_MM + sum(up + down for up, down in rooms)


def lay_out(signal_mv: np.ndarray, fs: float, leads: Sequence[int], panels: Sequence[Panel]) -> Layout:
    """The layout of a page; arguments as in `draw_transforms`."""
    width = up_to_grid(_PULSE_AREA + signal_mv.shape[1] / fs * SPEED_MM_S)
    for columns in COLUMNS:
        rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
        layout = Layout(rows, [_rooms(signal_mv, row, leads) for row in rows], width)
        if layout.page[1] <= 2 * layout.page[0]:
            break
    return layout


def draw_transforms(
    signal_mv: np.ndarray, fs: float, leads: Sequence[int], panels: Sequence[Panel], caption: str
) -> Figure:
    """A page with a sheet of paper for each panel.

    Args:
        signal_mv: the original, (12, T) in mV.
        fs: sampling rate in Hz.
        leads: indices of the leads to draw.
        panels: from `transform_panels`.
        caption: what stands above all.
    """
    layout = lay_out(signal_mv, fs, leads, panels)
    width, height = layout.page
    figure, axes = new_page(width, height)
    legend = [(_ORIGINAL, "original"), (_CHANGED, "transformed")]
    draw_header(axes, _MARGIN, height - _MARGIN, width - _MARGIN, caption, legend=legend, fontsize=9)
    top = height - _MARGIN - _HEADER
    for row, rooms in zip(layout.rows, layout.rooms):
        for column, panel in enumerate(row):
            left = _MARGIN + column * (layout.width + _GAP)
            _draw_panel(axes, panel, signal_mv, fs, leads, rooms, left, top, layout.width)
        top -= _TITLE + paper_height(rooms) + _GAP
    return figure


def _draw_panel(
    axes: Axes,
    panel: Panel,
    signal_mv: np.ndarray,
    fs: float,
    leads: Sequence[int],
    rooms: Sequence[Tuple[int, int]],
    left: float,
    top: float,
    width: int,
) -> None:
    """Draw a panel's title and its sheet below `top`."""
    axes.text(left, top - 1, panel.title, fontsize=10, weight="bold", va="top")
    axes.text(
        left, top - 6, " + ".join(panel.names), fontsize=7.5, family="monospace", color="0.35", va="top"
    )
    paper_top = top - _TITLE
    height = paper_height(rooms)
    sheet = draw_grid(axes, left, paper_top - height, width, height)
    paper_top -= LARGE_MM
    for lead, (up, down) in zip(leads, rooms):
        zero = paper_top - up
        start = left + _PULSE_AREA
        draw_lead(axes, sheet, start, zero, signal_mv[lead], fs, **_ORIGINAL)
        draw_lead(axes, sheet, start, zero, panel.changed[lead], fs, **_CHANGED)
        draw_calibration(axes, left + LARGE_MM / 2, zero, **_CHANGED)
        axes.text(left + 1.5, zero - 1, LEADS[lead], fontsize=8, weight="bold", va="top", zorder=4)
        paper_top -= up + down


def _rooms(signal_mv: np.ndarray, row: Sequence[Panel], leads: Sequence[int]) -> List[Tuple[int, int]]:
    """Millimetres above and below 0 mV that each lead needs in a row of panels."""
    shown = np.stack([signal_mv, *(panel.changed for panel in row)])[:, list(leads)] * GAIN_MM_MV
    least_up = max(_LEAST_UP, round(PULSE_MV * GAIN_MM_MV))
    return [room(shown[:, i], least_up, _LEAST_DOWN, _MOST) for i in range(len(leads))]
