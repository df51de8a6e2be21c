"""Robustness curves: metrics over the number of leads, the sampling rate, and the amount of noise.

A curve is made of results on lead sets that say by their names where on the curve they lie: `random:4 mean`,
`12@100Hz`, `12@emg6dB`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.degradation import (
    AT,
    LOWEST_HZ,
    NOISES,
    RATE,
    Degradation,
    parse_degradation,
    shows,
)
from fairseq_signals.evaluation.summaries import Line, mean_of
from fairseq_signals.metrics.bootstrap import Bounds

LEADS_CURVE, NOISE_CURVE = "leads", "noise"
CURVES = (LEADS_CURVE, RATE, NOISE_CURVE)
SIZES = (1, 2, 3, 4, 6, 8)  # leads, and all that the model takes
RATES_HZ = (250.0, 125.0, 100.0, 62.5)
RATIOS_DB = (24.0, 18.0, 12.0, 6.0, 0.0, -6.0)
_DRAWN = re.compile(r"random:(\d+)(?::\d+)? (mean|worst)")


class Point(NamedTuple):
    """A metric at one place of a curve, with the ends of its interval, NaN where there is none."""

    x: float
    value: float
    low: float
    high: float


def curve_specs(curves: str, lead_sets: Sequence[str], n_leads: int, fs: float) -> list[str]:
    """The lead sets that make up curves of a model.

    Args:
        curves: of `CURVES`, separated by commas.
        lead_sets: those that are degraded.
        n_leads, fs: what the model takes.

    Raises:
        ConfigError: there is no such curve.
    """
    names = [name.strip() for name in curves.split(",")]
    unknown = set(names) - set(CURVES)
    if unknown:
        raise ConfigError(f"robustness: there is no curve {min(unknown)!r}, but {', '.join(CURVES)}")
    specs = []
    if LEADS_CURVE in names:
        specs += [f"random:{n}" for n in (*(n for n in SIZES if n < n_leads), n_leads)]
    wanted = []
    if RATE in names:
        wanted += [Degradation(RATE, hz) for hz in (fs, *RATES_HZ) if LOWEST_HZ <= hz <= fs]
    if NOISE_CURVE in names:
        wanted += [Degradation(noise, db) for noise in NOISES if shows(noise, fs) for db in RATIOS_DB]
    return specs + [f"{leads}{AT}{each}" for leads in lead_sets for each in dict.fromkeys(wanted)]


def curves_of(lines: Iterable[Line], metric: str) -> dict[str, dict[str, list[Point]]]:
    """The curves of a metric: by kind ("leads", "rate", a noise), by lead set, their points by x.

    Args:
        lines: results on lead sets. Their names say to which curve they belong; most belong to none.
        metric: its name.
    """
    known = {line.leads: line for line in lines if metric in line.values}
    found: dict[str, dict[str, list[Point]]] = {}
    for name, line in known.items():
        place = _place(name)
        if place is not None:
            kind, leads, x = place
            found.setdefault(kind, {}).setdefault(leads, []).append(_point(line, metric, x))
    for leads, points in [pair for kind in NOISES for pair in found.get(kind, {}).items()]:
        clean = known.get(leads) or known.get(mean_of(leads))
        points += [] if clean is None else [_point(clean, metric, math.inf)]
    return {kind: {leads: sorted(points) for leads, points in of.items()} for kind, of in found.items()}


def lines_of_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Line]]:
    """By method, the lines that rows of a results file are of; parts of the records are left out.

    A method with several seeds is several methods.
    """
    whole = [row for row in rows if row.get("group") is None]
    seeds: dict[str, set[Any]] = {}
    for row in whole:
        seeds.setdefault(row["method"], set()).add(row.get("seed"))
    lines: dict[str, dict[str, Line]] = {}
    for row in whole:
        method = row["method"]
        method += f", seed {row.get('seed')}" if len(seeds[method]) > 1 else ""
        line = lines.setdefault(method, {}).setdefault(row["leads"], Line(row["leads"], {}, {}, {}))
        value, *ends = (math.nan if row.get(key) is None else row[key] for key in ("value", "low", "high"))
        line.values[row["metric"]], line.bounds[row["metric"]] = value, Bounds(*ends)
    return {method: list(of.values()) for method, of in lines.items()}


def _point(line: Line, metric: str, x: float) -> Point:
    """The worst of several has no interval: which it is, depends on the records."""
    bounds = Bounds() if line.leads.endswith(" worst") else line.bounds.get(metric, Bounds())
    return Point(x, line.values[metric], *bounds)


def _place(line: str) -> tuple[str, str, float] | None:
    """Kind of the curve that a result is of, its lead set and x."""
    drawn = _DRAWN.fullmatch(line)
    if drawn:
        return LEADS_CURVE, f"random leads, {drawn[2]}", float(drawn[1])
    leads, _, text = line.removesuffix(" mean").partition(AT)
    if not text or " " in leads + text:
        return None
    degradation = parse_degradation(text)
    return degradation.kind, leads, degradation.level
