"""Tables that say about records what their headers do not: patient, age, sex, codes, report."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq_signals.ecg.header import parse_codes, parse_sex
from fairseq_signals.errors import StoreError

COLUMNS = ("record_id", "patient_id", "age", "sex", "codes", "report", "source")


@dataclass
class RecordTable:
    """A metadata table.

    Attributes:
        path: the file.
        rows: for each record_id, the fields that the table gives; empty cells are not in it.
    """

    path: Path
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_record_table(path: Path) -> RecordTable:
    """Read a CSV with the column `record_id` and any of the others of `COLUMNS`.

    `codes` are separated by "|" or ","; `sex` is female/F or male/M; an empty cell leaves what the header says.

    Raises:
        StoreError: no such file, a column missing or unknown, a cell that cannot be read, a record listed twice.
    """
    try:
        file = open(path, newline="", encoding="utf-8-sig")
    except OSError as e:
        raise StoreError(f"{path}: the metadata table cannot be read ({e.strerror})") from e
    table = RecordTable(path)
    first_line: dict[str, int] = {}
    with file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        unknown = [name for name in columns if name not in COLUMNS]
        if "record_id" not in columns or unknown:
            raise StoreError(
                f"{path}:1: the columns must be record_id and any of {', '.join(COLUMNS[1:])}, "
                f"but are {', '.join(columns) or 'missing'}"
            )
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            record_id = (cells["record_id"] or "").strip()
            if not record_id:
                raise StoreError(f"{where}: record_id is empty")
            if record_id in table.rows:
                raise StoreError(
                    f"{where}: record {record_id} is listed already in line {first_line[record_id]}"
                )
            first_line[record_id] = reader.line_num
            table.rows[record_id] = {
                name: _value(name, text.strip(), where)
                for name, text in cells.items()
                if name in COLUMNS[1:] and text is not None and text.strip()
            }
    return table


def _value(name: str, text: str, where: str) -> Any:
    if name == "codes":
        return parse_codes(text)
    if name == "sex":
        sex = parse_sex(text)
        if sex is None:
            raise StoreError(f"{where}: sex must be female, male or empty, but is {text!r} instead")
        return sex
    if name == "age":
        try:
            age = float(text)
        except ValueError:
            age = -1.0
        if not 0 <= age < 1000:
            raise StoreError(f"{where}: age must be in years or empty, but is {text!r} instead")
        return age
    return text
