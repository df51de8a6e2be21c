"""Small drawings in SVG: curves, points, and the diagram of critical differences. Texts are always escaped.

They have the colours of the page, in light and dark, and are as wide as a phone where not said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fairseq_signals.benchmark.critical_difference import Ranking
from fairseq_signals.report.page import escape

WIDTH, HEIGHT = 340, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 40
COLOURS = 6


class Curve(NamedTuple):
    """A line of a chart, with a band where it has ends."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


class Axis(NamedTuple):
    """From values to places along one side of a drawing."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def at(self, value: float, start: float, end: float) -> float:
        """The place of a value between those of the ends."""
        return start + (end - start) * (value - self.low) / ((self.high - self.low) or 1.0)


def axis_of(title: str, values: Iterable[float], margin: float = 0.06) -> Axis:
    """An axis that holds all finite values, with round ticks."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    spread = (high - low) or abs(high) or 1.0
    low, high = low - margin * spread, high + margin * spread
    step = 10 ** math.floor(math.log10((high - low) / 3))
    step = next(step * k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 5)
    ticks = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    decimals = max(0, -math.floor(math.log10(step)))
    return Axis(title, low, high, [(float(tick), _number(float(tick), decimals)) for tick in ticks])


def named_axis(title: str, names: Sequence[str]) -> Axis:
    """An axis of names at 0, 1, 2 ..."""
    return Axis(title, -0.3, len(names) - 0.7, [(float(i), name) for i, name in enumerate(names)])


def chart(alt: str, curves: Sequence[Curve], x: Axis, y: Axis) -> str:
    """Curves, each with a line of its own kind, and their names below."""
    drawn = [_frame(x, y)]
    for i, curve in enumerate(curves):
        places = [_place(x, y, *point) for point in zip(curve.x, curve.y) if all(map(math.isfinite, point))]
        if curve.low and all(map(math.isfinite, (*curve.low, *curve.high))):
            ends = [*zip(curve.x, curve.high), *reversed([*zip(curve.x, curve.low)])]
            band = " ".join(_place(x, y, *point) for point in ends)
            drawn.append(f'<polygon class="band c{i % COLOURS}" points="{band}"/>')
        drawn.append(f'<polyline class="line c{i % COLOURS} dash{i % 3}" points="{" ".join(places)}"/>')
        if len(places) <= 20:
            dots = (place.split(",") for place in places)
            drawn += [f'<circle class="dot c{i % COLOURS}" cx="{a}" cy="{b}" r="3"/>' for a, b in dots]
    keys = "".join(_key(i, curve.name) for i, curve in enumerate(curves))
    legend = f'<ul class="keys">{keys}</ul>' if len(curves) > 1 else ""
    return f'<div class="chart">{_svg(alt, drawn)}{legend}</div>'


def scatter(alt: str, points: Sequence[tuple[str, float, float]], x: Axis, y: Axis) -> str:
    """Points with their names, short ones."""
    drawn = [_frame(x, y)]
    taken: list[tuple[float, float]] = []
    for name, a, b in sorted(points, key=lambda point: -point[2]):
        px, py = map(float, _place(x, y, a, b).split(","))
        shift, down = _free_place(px, py, taken)
        taken.append((px + shift, py + down))
        drawn.append(f'<circle class="dot c0" cx="{px}" cy="{py}" r="4"/>')
        drawn.append(
            f'<text x="{px + shift:.1f}" y="{py + down + 4:.1f}" text-anchor="middle">{escape(name)}</text>'
        )
    return f'<div class="chart">{_svg(alt, drawn)}</div>'


def critical_difference_diagram(alt: str, names: Sequence[str], ranking: Ranking) -> str:
    """Methods along an axis of mean ranks, the best on the left; bars join those that do not differ."""
    order = np.argsort(ranking.mean_ranks, kind="stable").tolist()
    half = math.ceil(len(order) / 2)
    start, end, width = 220, 520, 780
    bars_end = 66 + 9 * len(ranking.cliques)
    axis = Axis("", 1, len(order), [(float(i), str(i)) for i in range(1, len(order) + 1)])

    def at(rank: float) -> float:
        return axis.at(rank, start, end)

    long = at(1 + ranking.difference) - start
    drawn = [
        f'<path class="axis" d="M{start} 50H{end}"/>',
        f'<path class="clique" d="M{start} 18H{start + long:.1f}"/>',
        f'<text x="{start + long + 6:.1f}" y="22">critical difference {ranking.difference:.2f}</text>',
    ]
    for value, label in axis.ticks:
        drawn.append(f'<path class="axis" d="M{at(value):.1f} 46V54"/>')
        drawn.append(f'<text x="{at(value):.1f}" y="42" text-anchor="middle">{label}</text>')
    for i, clique in enumerate(ranking.cliques):
        ends = [at(ranking.mean_ranks[place]) for place in (clique[0], clique[-1])]
        drawn.append(f'<path class="clique" d="M{ends[0] - 3:.1f} {64 + 9 * i}H{ends[1] + 3:.1f}"/>')
    for i, place in enumerate(order):
        on_left = i < half
        y = bars_end + 16 * (i if on_left else len(order) - 1 - i) + 8
        x, side = (start - 14, "end") if on_left else (end + 14, "start")
        rank = ranking.mean_ranks[place]
        drawn.append(f'<path class="axis" d="M{at(rank):.1f} 50V{y}H{x}"/>')
        said = f"{_short(names[place])} {rank:.2f}"
        drawn.append(f'<text x="{x + (-4 if on_left else 4)}" y="{y + 4}" text-anchor="{side}">'
                     f"{escape(said)}</text>")  # fmt: skip
    return _svg(alt, drawn, width, bars_end + 16 * half + 16)


def _free_place(px: float, py: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the name of a point may stand beside it: to the right, the left, or lower down."""
    for down in range(0, HEIGHT, 6):
        for shift in (14, -14):
            beside = px + shift
            near = (abs(beside - x) < 16 and abs(py + down - y) < 12 for x, y in taken)
            if LEFT < beside < WIDTH and not any(near):
                return shift, down
    return 14, 0


def _place(x: Axis, y: Axis, a: float, b: float) -> str:
    across = x.at(a, LEFT, WIDTH - RIGHT)
    return f"{across:.1f},{y.at(b, HEIGHT - BOTTOM, TOP):.1f}"


def _frame(x: Axis, y: Axis) -> str:
    floor = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}"/>']
    for value, label in y.ticks:
        at = y.at(value, floor, TOP)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for value, label in x.ticks:
        at = x.at(value, LEFT, WIDTH - RIGHT)
        room = 2 * (WIDTH - at)
        side = "middle" if 7 * len(label) < room else "end"
        parts.append(f'<text x="{at:.1f}" y="{floor + 16}" text-anchor="{side}">{escape(label)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.title)}</text>')
    parts.append(f'<text x="{LEFT + 4}" y="{TOP + 2}" class="title">{escape(y.title)}</text>')
    return "".join(parts)


def _svg(alt: str, drawn: Iterable[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg role="img" aria-label="{escape(alt)}" {size}>{"".join(drawn)}</svg>'


def _key(i: int, name: str) -> str:
    line = f'<path class="line c{i % COLOURS} dash{i % 3}" d="M0 6H26"/>'
    return f'<li><svg aria-hidden="true" width="26" height="12">{line}</svg> {escape(name)}</li>'


def _number(value: float, decimals: int) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value / 1000:g}k"
    return f"{value:.{decimals}f}"


def _short(name: str, longest: int = 26) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
