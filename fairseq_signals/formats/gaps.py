"""Missing samples: a few are interpolated, those at the ends of a record are cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fairseq_signals.ecg.units import not_finite
from fairseq_signals.formats.options import MAX_GAP_S, MAX_SHARE
from fairseq_signals.safety.text import counted

MIN_PADDING_S = 0.5  # of a run that is padding, where its value is one that other samples may have too
LARGEST = 1e30  # of a float that can be a sample; damaged files have larger ones


class Lead(NamedTuple):
    """The samples of a lead (T,), the value that stands where there is none, if any does, and Hz."""

    values: np.ndarray
    missing: int | None
    fs: float


class Mended(NamedTuple):
    """What becomes of leads with missing samples.

    Attributes:
        values: (T,) of each lead that can be used, of the type it had.
        reasons: why each other one cannot.
        notes: what was cut off or filled in, a sentence each.
    """

    values: dict[str, np.ndarray]
    reasons: dict[str, str]
    notes: list[str]


def extremes_of(rows: list[np.ndarray]) -> list[tuple[float, float]]:
    """The lowest and the highest value of each row (T,), NaN where one is; (0, 0) where T is 0.

    Short rows that are alike are looked at together: there, a call takes longer than its work.
    """
    together = len({(row.dtype.char, len(row)) for row in rows}) == 1 and len(rows[0]) < 2**15
    found: list[tuple[float, float]] = []
    for block in [np.array(rows)] if together else [row[None] for row in rows]:  # (L, T)
        low, high = (block.min(axis=1), block.max(axis=1)) if block.size else (np.zeros(len(block)),) * 2
        found += zip(low.tolist(), high.tolist())
    return found


def may_be_missing(missing: int | None, low: float, high: float) -> bool:
    """Whether a lead with values from `low` to `high` (NaN where one is) may lack samples."""
    finite = low > -LARGEST and high < LARGEST
    return not finite or (missing is not None and low <= missing <= high)


def mend(leads: Mapping[str, Lead], refuse: bool = False) -> Mended:
    """Leads without missing samples.

    What all leads lack at either end is cut off. A lead's gaps of at most `MAX_GAP_S` are interpolated where
    they make up at most `MAX_SHARE` of it.

    Args:
        leads: of one recording, by name.
        refuse: cut nothing off and interpolate nothing, so that any missing sample costs the lead.
    """
    masks = {name: _missing(lead) for name, lead in leads.items()}
    values, notes = {name: lead.values for name, lead in leads.items()}, []
    if not refuse and len({(len(lead.values), lead.fs) for lead in leads.values()}) == 1:
        fs = next(iter(leads.values())).fs
        begin, end = _recorded(leads, masks, fs)
        n_samples = len(next(iter(values.values())))
        if 0 < end - begin < n_samples:
            cut_s = begin / fs, (n_samples - end) / fs
            notes.append(f"{cut_s[0]:g} s before and {cut_s[1]:g} s after the recording are cut off")
            values = {name: one[begin:end] for name, one in values.items()}
            masks = {name: mask[begin:end] for name, mask in masks.items()}
    reasons: dict[str, str] = {}
    for name, mask in masks.items():
        if mask.any():
            filled, told = _fill(values[name], mask, leads[name].fs, refuse)
            if filled is None:
                reasons[name] = told
                del values[name]
            else:
                values[name] = filled
                notes.append(f"{name}: {told}")
    return Mended(values, reasons, notes)


def _missing(lead: Lead) -> np.ndarray:
    """Which samples are missing, (T,): not finite, or of the value that says so.

    A value within the range of the other samples is one that they can have; only long runs of it are padding.
    """
    invalid = ~(np.abs(lead.values) < LARGEST)  # NaN is not below anything
    if lead.missing is None:
        return invalid
    marked = lead.values == lead.missing
    others = lead.values[~marked & ~invalid]
    if marked.any() and len(others) and others.min() < lead.missing < others.max():
        marked = _long_runs(marked, MIN_PADDING_S * lead.fs)
    return invalid | marked


def _recorded(leads: Mapping[str, Lead], masks: Mapping[str, np.ndarray], fs: float) -> tuple[int, int]:
    """The first sample that one of the leads has, and the one after the last."""
    absent = np.logical_and.reduce(list(masks.values()))
    if all(lead.missing is not None for lead in leads.values()):
        padded = np.logical_and.reduce([lead.values == lead.missing for lead in leads.values()])
        absent |= _long_runs(padded, MAX_GAP_S * fs) if len(leads) > 1 else False
    there = np.flatnonzero(~absent)
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)


def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the runs of True begin and end."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges[::2], edges[1::2]


def _long_runs(mask: np.ndarray, least: float) -> np.ndarray:
    """The mask without its runs that are shorter than this."""
    begins, ends = _runs(mask)
    is_long = ends - begins >= least
    step = np.zeros(len(mask) + 1, np.int8)
    step[begins[is_long]], step[ends[is_long]] = 1, -1
    return np.cumsum(step[:-1]).astype(bool)


def _fill(values: np.ndarray, missing: np.ndarray, fs: float, refuse: bool) -> tuple[np.ndarray | None, str]:
    """A lead whose gaps are interpolated, or None where they may not be, and what is to be said of it."""
    n_missing = int(missing.sum())
    told = f"{n_missing} of {len(values)} samples are missing ({not_finite(values)})"
    if refuse:
        return None, told
    begins, ends = _runs(missing)
    longest_s = int((ends - begins).max()) / fs
    if longest_s > MAX_GAP_S or n_missing > MAX_SHARE * len(values):
        limits = f"gaps of up to {MAX_GAP_S * 1000:g} ms, {MAX_SHARE:.1%} in all"
        return None, f"{told}, up to {longest_s * 1000:.4g} ms at once; only {limits}, are interpolated"
    gaps, there = np.flatnonzero(missing), np.flatnonzero(~missing)
    between = np.interp(gaps, there, values[there])
    filled = values.copy()
    filled[gaps] = np.rint(between) if values.dtype.kind in "iu" else between
    return filled, f"{counted(n_missing, 'missing sample')} in {counted(len(begins), 'gap')} interpolated"
