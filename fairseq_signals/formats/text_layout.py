"""How a table of numbers is written as text: separators, decimal commas, header and comment lines.

Nothing says so in the file; it is told from the first lines. Only these are looked at here, so that a folder
can be searched for such tables at little cost.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from fairseq_signals.ecg.units import millivolt_per

MAX_COLUMNS = 64  # a table with more of them holds a lead in each row
COMMENT_MARKS = ("#", "%")
MISSING = ("", "nan", "na", "n/a", "null", "none", "-", ".")
#: Separators and the decimal mark beside each, in the order in which they are tried.
_DIALECTS = (("\t", "."), ("\t", ","), (";", "."), (";", ","), (",", "."), (",", ","), (" ", "."), (" ", ","))
_N_LINES, _LINE = 256, 8192  # lines that are looked at, and bytes of each
_RUN = 8  # lines of numbers after each other that begin a table
NUMBER = {mark: rf"[+-]?(?:\d+(?:[{mark}]\d*)?|[{mark}]\d+)(?:[eE][+-]?\d+)?" for mark in ".,"}
_NUMBER = {mark: re.compile(pattern) for mark, pattern in NUMBER.items()}
_TIME = re.compile(r"\[?(?:\d{2,4}[-/.]\d\d?[-/.]\d{2,4}[T ])?(?:\d+:)?\d+:\d\d(?:[.,]\d+)?\b.*")
_TIME_UNIT = re.compile(r"h*:?m+:s+(?:[.,]m+)?|s|sec|seconds?|ms|[u\u00b5\u03bc]s|sample(?: ?#| number)?|#?")


class Line(NamedTuple):
    """A line of the file: its text (of a long one the beginning), where it begins, and whether it is long."""

    text: str
    offset: int
    is_long: bool


@dataclass(frozen=True)
class TextLayout:
    """How a table is written.

    Attributes:
        separator: between cells; a blank stands for any number of blanks and tabs.
        decimal_mark: "." or ",".
        offset: of the first row of numbers, in bytes.
        n_columns: cells of that row.
        names: of the columns; empty where there are none.
        units: of the columns, where a line of their own says so, else empty.
        kinds: what each column holds: "number", "time", "text" or "missing", as far as the first rows tell.
        above: the lines above the table, without comment marks.
        by_rows: each row is a lead; `names` are the first cells of the rows then, if they are not numbers.
    """

    separator: str
    decimal_mark: str
    offset: int
    n_columns: int
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    by_rows: bool = False


def first_lines(data: bytes) -> list[Line]:
    """The first lines of a file in UTF-8, or in Latin-1 where it is not."""
    lines = []
    for match in islice(re.finditer(rb"([^\r\n]*)(\r\n|\r|\n|$)", data), _N_LINES):
        if match.start() == len(data):
            break
        piece = data[match.start() : min(match.end(1), match.start() + _LINE)]
        is_long = match.end(1) - match.start() > _LINE
        if is_long:  # the last cell may be cut, or a letter in it
            piece = piece.rpartition(max((b"\t", b";", b",", b" "), key=piece.count))[0]
        lines.append(Line(decode(piece), match.start(), is_long))
    return lines


def to_utf8(data: bytes) -> bytes:
    """The bytes of a text in UTF-8, without byte-order mark; it may be in UTF-16 or Latin-1."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "ignore").encode()
    return (data if data.isascii() else decode(data).encode()).removeprefix(codecs.BOM_UTF8)


def decode(data: bytes) -> str:
    """UTF-8, or Latin-1 where it is not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def find_layout(lines: Sequence[Line]) -> TextLayout | None:
    """How the table in these lines is written; None where there is none."""
    found = [layout for dialect in _DIALECTS if (layout := _in_dialect(lines, *dialect)) is not None]
    if not found:
        return None
    return min(found, key=lambda one: one[0])[1]  # of equals the first


def cells_of(text: str, separator: str) -> list[str]:
    """The cells of a line, without blanks and quotes around them."""
    if separator == " ":
        return [cell.strip("'\"") for cell in text.split()]
    row = next(csv.reader([text], delimiter=separator), [])
    return [cell.strip().strip("'").strip() for cell in row]


def _in_dialect(
    lines: Sequence[Line], separator: str, decimal_mark: str
) -> tuple[tuple[float, bool, bool], TextLayout] | None:
    """The layout if the file is of this dialect, and how badly it fits.

    First counts how many cells would be text, then whether the line above would be no header, then whether
    there would be a single column.
    """
    try:
        rows = [cells_of(line.text, separator) for line in lines]
    except csv.Error:
        return None
    kinds = [_kinds(cells, decimal_mark) for cells in rows]
    begin = _first_row(lines, rows, kinds)
    if begin is None:
        return None
    body = kinds[begin:]
    n_text = sum(row.count("text") for row in body)
    layout = _with_header(lines, rows, kinds, begin, separator, decimal_mark)
    named = bool(layout.names) or layout.by_rows or not _has_title(lines, begin)
    return (n_text / sum(map(len, body)), not named, layout.n_columns == 1), layout


def _has_title(lines: Sequence[Line], begin: int) -> bool:
    above = lines[begin - 1].text.strip() if begin else ""
    return bool(above) and not above.startswith(COMMENT_MARKS)


def _kinds(cells: Sequence[str], decimal_mark: str) -> list[str]:
    return ["missing" if cell.lower() in MISSING else
            "number" if _NUMBER[decimal_mark].fullmatch(cell) else
            "time" if _TIME.fullmatch(cell) else "text" for cell in cells]  # fmt: skip


def _first_row(lines: Sequence[Line], rows: Sequence[list[str]], kinds: Sequence[list[str]]) -> int | None:
    """The first of several lines of numbers, or of those up to the end, with as many cells each."""
    is_row = [
        kind.count("number") * 2 >= len(kind) - kind.count("missing") - kind.count("time")
        and "number" in kind
        and not line.text.lstrip().startswith(COMMENT_MARKS)
        for line, kind in zip(lines, kinds)
    ]
    last = max((i for i, line in enumerate(lines) if line.text.strip()), default=-1)
    for i in range(last + 1):
        run = range(i, min(i + _RUN, last + 1))
        alike = len({len(rows[k]) for k in run if not lines[k].is_long}) <= 1
        if alike and all(is_row[k] for k in run) and (len(run) > 1 or lines[i].is_long or len(rows[i]) > 64):
            return i
    return None


def _with_header(
    lines: Sequence[Line],
    rows: Sequence[list[str]],
    kinds: Sequence[list[str]],
    begin: int,
    separator: str,
    decimal_mark: str,
) -> TextLayout:
    n = len(rows[begin])
    above = tuple(line.text.lstrip("".join(COMMENT_MARKS)).strip() for line in lines[:begin])
    body = [i for i in range(begin, len(lines)) if rows[i]]
    if lines[begin].is_long or n > MAX_COLUMNS:
        named = [rows[i][0] for i in body] if all(kinds[i][0] == "text" for i in body) else []
        offset = lines[begin].offset
        return TextLayout(separator, decimal_mark, offset, n, tuple(named), (), (), above, True)
    columns = list(zip(*(kinds[i] for i in body if len(rows[i]) == n)))
    merged = tuple(_kind_of_column(kind) for kind in columns)
    header = [cells_of(text, separator) for text in above[-2:]]
    units: list[str] = []
    if header and len(header[-1]) == n and _are_units(header[-1]):
        units = [_bare(cell) for cell in header.pop()]
    names = header[-1] if header and _are_names(header[-1], n, merged[-1]) else []
    if names and len(names) < n:  # without a name for what follows the last separator, or for the rows
        names = [*names, ""] if merged[-1] == "missing" else ["", *names]
    return TextLayout(
        separator, decimal_mark, lines[begin].offset, n, tuple(names), tuple(units), merged, above
    )


def _kind_of_column(kinds: Sequence[str]) -> str:
    return next((kind for kind in ("text", "time", "number") if kind in kinds), "missing")


def _are_units(cells: Sequence[str]) -> bool:
    """Whether these cells are the units of columns, such as 'hh:mm:ss.mmm','mV','mV'."""
    texts = [_bare(cell) for cell in cells]
    voltages = [millivolt_per(text) is not None for text in texts]
    return any(voltages) and all(is_one or _TIME_UNIT.fullmatch(t) for is_one, t in zip(voltages, texts))


def _bare(unit: str) -> str:
    return unit.strip("[]() ")


def _are_names(cells: Sequence[str], n: int, last_kind: str) -> bool:
    """Whether these cells are the names of n columns."""
    if len(cells) == n - 1:
        return n > 2 or last_kind == "missing"
    return len(cells) == n and (n > 1 or not any(mark in cells[0] for mark in ":="))
