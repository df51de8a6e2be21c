"""ECGs that the Apple Watch's Health app exports as CSV: what stands above their samples, in any language.

Lines of a key and a value, of which the keys are in the language of the phone and the order is always the
same: name, birth date, recording date, classification, symptoms, software, device, sampling rate; then lead
and unit; then a sample a line. Apple publishes no layout; exports in English, German, Japanese and Chinese
agree in this one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from fairseq_signals.ecg.record import Subject
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.formats.text_layout import Line, cells_of

_RATE = re.compile(r"(\d+(?:[.,]\d+)?)\s*[^\W\d_]+")  # a number and a word in any script
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [+-]\d{4})?")
_LEAD = re.compile(r"(?<![A-Za-z])(I{1,3}|V[1-6])(?![A-Za-z])")
_N_LINES = 24  # that the keys take, with blank ones between them


class WatchHeader(NamedTuple):
    """What an export says above its samples.

    Attributes:
        begin: index of the first line after it that is not blank.
        lead: name of the lead, such as "I".
        fs: Hz.
        unit: of the samples.
        report: how the watch classifies the rhythm, in the phone's language, or None.
        subject: of whom no name and no birth date is taken.
    """

    begin: int
    lead: str
    fs: float
    unit: str
    report: str | None
    subject: Subject


def find_header(lines: Sequence[Line]) -> WatchHeader | None:
    """The header of an export; None where the lines are not one."""
    rows = [cells_of(line.text, ",") for line in lines[:_N_LINES]]
    pairs = [(i, ",".join(row[1:])) for i, row in enumerate(rows) if len(row) > 1]
    for (k, lead), (i, unit) in pairwise(pairs):
        if millivolt_per(unit) is None or i != k + 1:
            continue
        rates = [match[1] for j, value in pairs if j < k and (match := _RATE.fullmatch(value))]
        if rates:
            dates = [(j, value) for j, value in pairs if _DATE.fullmatch(value)]
            report = next((value for j, value in pairs if dates and j == dates[0][0] + 1), None)
            other = (("recorded", dates[0][1]),) if dates else ()
            found = _LEAD.search(lead)
            name, fs = found[1] if found else lead, float(rates[-1].replace(",", "."))
            begin = next((j for j, line in enumerate(lines[i + 1 :], i + 1) if line.text.strip()), len(lines))
            return WatchHeader(begin, name, fs, unit, report or None, Subject(other=other))
    return None
