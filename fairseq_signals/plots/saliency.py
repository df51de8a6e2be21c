"""Where a model looked: twelve leads below each other, coloured by saliency, and the attention below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.plots.ecg_paper import (
    GAIN_MM_MV,
    LARGE_MM,
    SPEED_MM_S,
    draw_grid,
    draw_header,
    draw_lead,
    new_page,
    room,
    up_to_grid,
)
from fairseq_signals.plots.record import MEDIAN_NOTE, centred, style_of

PAGE_S = 10.0
#: Saliency above this quantile has the darkest colour, so that one sample does not fade all others.
BRIGHTEST = 0.995
HEAT = LinearSegmentedColormap.from_list("saliency", [(1.0, 0.55, 0.1, 0.0), (0.85, 0.2, 0.0, 0.85)])

_MARGIN, _HEADER, _NAMES, _ATTENTION = 8.0, 18.0, 15, 15
_LEAST_UP, _LEAST_DOWN, _MOST = 10, 5, 20


def draw_saliency(
    signal_mv: np.ndarray,
    fs: float,
    present: Sequence[int],
    given: Sequence[int],
    gradient: np.ndarray,
    attention: np.ndarray,
    caption: str,
    segment_starts_s: Sequence[float] = (),
    explained: Optional[str] = None,
) -> Figure:
    """A page with one recording and both kinds of saliency.

    Args:
        signal_mv: (12, T) in mV, absent leads zeros; what is after PAGE_S is not drawn.
        fs: sampling rate in Hz.
        present, given: indices of the leads that were recorded, and of those that the model was given.
        gradient: (12, T), not negative: how much the output changes with each sample.
        attention: (T,), not negative: how much the output attends to each time.
        caption: what stands above.
        segment_starts_s: where segments begin; the model sees one at a time.
        explained: a second line, on what the colours are.
    """
    n = min(signal_mv.shape[1], round(PAGE_S * fs))
    page, heat = centred(signal_mv[:, :n]), np.zeros_like(gradient[:, :n])
    heat[list(given)] = gradient[list(given), :n]
    total = signal_mv.shape[1] / fs
    part = f"   the first {PAGE_S:g} s of {total:g} s, of which the model saw all" if total > PAGE_S else ""
    rooms = [room(page[lead] * GAIN_MM_MV, _LEAST_UP, _LEAST_DOWN, _MOST) for lead in range(len(LEADS))]
    seconds = n / fs
    width = _NAMES + max(up_to_grid(seconds * SPEED_MM_S), 100) + LARGE_MM
    height = sum(up + down for up, down in rooms) + _ATTENTION + 3 * LARGE_MM
    figure, axes = new_page(width + 2 * _MARGIN, height + 2 * _MARGIN + _HEADER)
    top = height + _MARGIN
    note = f"{MEDIAN_NOTE}{part}\n{explained or ''}"
    draw_header(axes, _MARGIN, top + _HEADER, width, caption, note, fontsize=7.5, linespacing=1.4)
    sheet = draw_grid(axes, _MARGIN, _MARGIN, width, height)
    left, y = _MARGIN + _NAMES, top - LARGE_MM
    right = left + seconds * SPEED_MM_S
    shown = heat[list(given)]
    scale = max(float(np.quantile(shown, BRIGHTEST)) if shown.size else 0.0, 1e-30)
    for lead, (up, down) in enumerate(rooms):
        zero = y - up
        style, note = style_of(lead, present, given)
        if lead in present:
            draw_lead(axes, sheet, left, zero, page[lead], fs, **style)
        else:
            axes.plot([left, right], [zero, zero], **style)
        if lead in given:
            image = axes.imshow((heat[lead] / scale)[None], extent=(left, right, zero - down, zero + up),
                                cmap=HEAT, vmin=0, vmax=1, interpolation="nearest", zorder=1.5)  # fmt: skip
            image.set_gid(f"gradient-{LEADS[lead]}")
        axes.text(
            _MARGIN + 1.5, zero + 1, LEADS[lead], fontsize=9, weight="bold", color=style["color"], zorder=4
        )
        axes.text(_MARGIN + 1.5, zero - 1, note, fontsize=5.5, va="top", color=style["color"], zorder=4)
        y -= up + down
    y -= LARGE_MM
    _draw_attention(axes, attention[:n], fs, left, y - _ATTENTION)
    for start in segment_starts_s:
        if 0 < start < seconds:
            x = left + start * SPEED_MM_S
            axes.plot(
                [x, x], [_MARGIN, top], color="#4a6fa5", linewidth=0.8, linestyle=(0, (6, 3)), zorder=2.5
            )
    return figure


def smoothed(values: np.ndarray, fs: float, seconds: float = 0.05) -> np.ndarray:
    """Means over a sliding window along the last axis, same shape; the ends have shorter windows."""
    half = int(seconds * fs / 2)
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    n = values.shape[-1]
    low, high = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half + 1, n)
    return (total[..., high] - total[..., low]) / (high - low)


def _draw_attention(axes: Axes, attention: np.ndarray, fs: float, left: float, bottom: float) -> None:
    """The attention as a filled curve, its largest value as high as the strip."""
    x = left + np.arange(len(attention)) / fs * SPEED_MM_S
    height = attention / max(float(attention.max()), 1e-30) * (_ATTENTION - 1)
    area = axes.fill_between(x, bottom, bottom + height, step="mid", color="#4a6fa5", alpha=0.55, linewidth=0)
    area.set_gid("attention")
    area.set_zorder(2)
    axes.text(_MARGIN + 1.5, bottom + 1, "atten-\ntion", fontsize=8, weight="bold", color="#2f4a73", zorder=4)
