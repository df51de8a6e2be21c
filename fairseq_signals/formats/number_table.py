"""Tables of numbers as text (CSV, TXT, TSV): a column or a row a lead; also what the Apple Watch exports."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fairseq_signals.ecg.record import Record
from fairseq_signals.ecg.units import millivolt_per
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.apple_watch import find_header
from fairseq_signals.formats.columns import Column, FileSays, read_columns
from fairseq_signals.formats.common import file_name, of_another_format, read_bytes
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.text_layout import (
    MISSING,
    NUMBER,
    TextLayout,
    decode,
    find_layout,
    first_lines,
    to_utf8,
)
from fairseq_signals.formats.time_column import SECONDS, Clock, read_clock

_EMPTY = [*MISSING, *(text.upper() for text in MISSING if text), "NaN", "None", "Null"]
#: What a line above a table says of all of it: "Sampling frequency: 500 Hz", "fs=500", "Unit,mV".
_RATE = re.compile(
    r"\W*(?:fs|sfreq|sampl\w*[\s_.]*(?:rate|freq\w*)|abtast(?:rate|frequenz)|messrate|rate)\b\W*"
    r"(?:[\[(]?\s*hz\s*[\])]?\W*)?(\d+(?:[.,]\d+)?)\s*(k?)(?:hz|hertz|sps|samples.*)?\W*",
    re.IGNORECASE,
)
_INTERVAL = re.compile(r"\W*sampl\w*[\s_.]*(?:interval|period)\W+(\d+(?:[.,]\d+)?)\s*(\w+)\W*", re.IGNORECASE)
_UNITS = re.compile(r"\W*(?:units?|einheit|unit[e\u00e9]|unidad(?:es)?)\W+(\w+)\W*", re.IGNORECASE)
_CLOCK_TIME = r"(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?"
_COMMENT = re.compile(rb"(?m)^[ \t]*[#%][^\r\n]*(?:\r?\n)?")
_DAY_S = 86400.0
_CONVERSION = re.compile(r"CSV column #(\d+):.* CSV conversion error")


def read_number_table(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of a table, by the names of its columns or as the user says."""
    record_id = file_name(path) if record_id is None else record_id
    data = to_utf8(read_bytes(record_id, path))
    lines = first_lines(data)
    where = f"record {record_id}: {path.name}"
    watch = find_header(lines)
    if watch is not None and watch.begin < len(lines):
        layout = TextLayout("\x1f", _decimal_mark(data[lines[watch.begin].offset :]),
                            lines[watch.begin].offset, 1, (watch.lead,), (), ("number",))  # fmt: skip
        says = FileSays(watch.fs, watch.unit, watch.report, watch.subject)
        return read_columns(record_id, path.name, _parse(where, data, layout), says, options)
    layout_found = find_layout(lines)
    if layout_found is None:
        raise of_another_format(record_id, path, "a table of numbers in columns or rows")
    columns = _rows(where, data, layout_found) if layout_found.by_rows else _parse(where, data, layout_found)
    says = _above(layout_found)
    return read_columns(record_id, path.name, columns, says, options)


def _decimal_mark(data: bytes) -> str:
    return "," if b"," in data else "."


def _above(layout: TextLayout) -> FileSays:
    """What the lines above a table say of all of it."""
    fs, unit = None, ""
    for line in layout.above:
        if fs is None and (rate := _RATE.fullmatch(line)):
            fs = float(rate[1].replace(",", ".")) * (1000 if rate[2] else 1)
        elif fs is None and (interval := _INTERVAL.fullmatch(line)) and interval[2].lower() in SECONDS:
            seconds = float(interval[1].replace(",", ".")) * SECONDS[interval[2].lower()]
            fs = 1 / seconds if seconds else None
        elif not unit and (said := _UNITS.fullmatch(line)) and millivolt_per(said[1]) is not None:
            unit = said[1]
    return FileSays(fs, unit, is_named=bool(layout.names))


def _parse(where: str, data: bytes, layout: TextLayout) -> list[Column]:
    """The columns of a table that has a column a lead."""
    body, separator = _COMMENT.sub(b"", data[layout.offset :]), layout.separator
    if separator == " ":  # any number of blanks, also at the ends of lines
        body = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", body)
        body, separator = re.sub(rb"[ \t]+", b"\t", body), "\t"
    as_text = {k for k, kind in enumerate(layout.kinds) if kind in ("text", "time")}
    table = _read_csv(where, body, separator, layout, as_text)
    named = layout.names or tuple(str(k + 1) for k in range(layout.n_columns))
    units = layout.units or ("",) * layout.n_columns
    columns = []
    for k, (name, unit) in enumerate(zip(named, units)):
        cells = table.column(k)
        if k in as_text:
            clock = _clock(where, cells)
            columns.append(
                Column(name, None, unit, clock) if clock else _numbers_among_text(name, unit, cells, layout)
            )
        elif name or cells.null_count < len(cells):
            columns.append(Column(name, cells.to_numpy(), unit))
    return columns


def _read_csv(where: str, body: bytes, separator: str, layout: TextLayout, as_text: set[int]) -> Any:
    """The cells: as float64, or as text in the columns `as_text`, to which those with text are added."""
    keys = [str(k) for k in range(layout.n_columns)]
    while True:
        types = {key: pa.string() if k in as_text else pa.float64() for k, key in enumerate(keys)}
        try:
            return pa_csv.read_csv(
                io.BytesIO(body),
                pa_csv.ReadOptions(use_threads=False, column_names=keys),
                pa_csv.ParseOptions(delimiter=separator, ignore_empty_lines=len(keys) > 1),
                pa_csv.ConvertOptions(
                    check_utf8=False,
                    column_types=types,
                    null_values=_EMPTY,
                    strings_can_be_null=True,
                    decimal_point=layout.decimal_mark,
                ),
            )
        except pa.ArrowInvalid as error:
            column = _CONVERSION.search(str(error))
            if column is None or int(column[1]) in as_text:
                raise _not_whole(where, error) from error
            as_text.add(int(column[1]))


def _numbers_among_text(name: str, unit: str, cells: Any, layout: TextLayout) -> Column:
    """A column with cells that are no numbers, which count as missing; where most are none, it is text."""
    trimmed = pc.utf8_trim_whitespace(cells)
    is_number = pc.match_substring_regex(trimmed, f"^{NUMBER[layout.decimal_mark]}$")
    others = trimmed.filter(pc.invert(pc.fill_null(is_number, True)))
    if len(others) * 2 >= len(cells):
        return Column(name, None, unit)
    plain = pc.replace_substring(pc.if_else(is_number, trimmed, None), layout.decimal_mark, ".")
    note = ""
    if len(others):
        example = others[0].as_py()
        note = f"{len(others)} cells of the column {name!r} are no numbers, such as {example!r}: missing"
    return Column(name, pc.cast(plain, pa.float64()).to_numpy(), unit, note=note)


def _not_whole(where: str, error: object) -> SignalError:
    """The error for rows that are not as the first ones."""
    told = " ".join(str(error).split())
    return SignalError(
        f"{where} is not a whole table of numbers: {told[:200]} (rows are counted from the first of "
        f"numbers). Export it again.",
        kind="malformed",
    )


def _rows(where: str, data: bytes, layout: TextLayout) -> list[Column]:
    """The columns that the rows of a table are, of which each is a lead."""
    rows = [row for row in data[layout.offset :].splitlines() if row.strip()]
    sep = layout.separator.encode()
    if len(rows) > 64:
        raise SignalError(
            f"{where} has {len(rows)} rows of {layout.n_columns} or more numbers, so neither rows nor "
            f"columns are leads. Leave it out, or export a column a lead.",
            kind="of another format",
        )
    names = []
    if layout.names:
        parts = [row.strip().partition(sep) for row in rows]
        names, rows = [decode(name).strip(" '\"") for name, _, _ in parts], [rest for _, _, rest in parts]
    if sep == b" ":
        rows = [b" ".join(row.split()) for row in rows]
    flat = TextLayout("\x1f", layout.decimal_mark, 0, 1)
    cells = _read_csv(where, b"\n".join(rows).replace(sep, b"\n"), "\x1f", flat, set()).column(0)
    if not pa.types.is_float64(cells.type):
        raise _not_whole(where, "a cell holds something else")
    ends = np.cumsum([row.count(sep) + 1 for row in rows])
    values = np.split(cells.to_numpy(), ends[:-1])
    return [Column(name, one) for name, one in zip(names or map(str, range(1, len(rows) + 1)), values)]


def _clock(where: str, cells: Any) -> Clock | None:
    """The clock that cells such as 0:00.002 or 2020-01-01 12:00:00.002 are; None of other text."""
    text = cells.combine_chunks()
    parts = pc.extract_regex(text, _CLOCK_TIME)
    if parts.null_count:
        return None
    hours, minutes, seconds, fraction = (parts.field(k) for k in range(4))

    def number(part: Any) -> np.ndarray:
        whole = pc.if_else(pc.equal(pc.utf8_length(part), 0), "0", part)
        return pc.cast(whole, pa.float64()).to_numpy(zero_copy_only=False)

    digits = int(pc.max(pc.utf8_length(fraction)).as_py())
    padded = number(pc.utf8_rpad(fraction, 9, "0")) * 1e-9
    times = number(hours) * 3600 + number(minutes) * 60 + number(seconds) + padded
    times += _DAY_S * np.cumsum(np.diff(times, prepend=times[:1]) < -_DAY_S / 2)  # midnight
    return read_clock(where, times, "s", 10.0**-digits)
