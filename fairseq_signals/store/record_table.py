"""Tables that say about records what their headers do not: patient, age, sex, codes, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairseq_signals.ecg.record import known, parse_codes, parse_sex
from fairseq_signals.errors import StoreError, did_you_mean
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.csv_table import TableRow, read_table

COLUMNS = ("record_id", "patient_id", "age", "sex", "codes", "report", "source")


@dataclass
class RecordTable:
    """A metadata table.

    Attributes:
        path: the file.
        rows: for each record_id, the fields that the table gives; empty cells are not in it.
        ignored_columns: columns that mean nothing here.
    """

    path: Path
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    ignored_columns: tuple[str, ...] = ()


def read_record_table(path: Path) -> RecordTable:
    """Read a CSV with the column `record_id` and any of the others of `COLUMNS`.

    `codes` are separated as `parse_codes` has it; `sex` is female/F or male/M; a cell that is empty or says
    that nothing is known leaves what the header says.

    Raises:
        StoreError: no such file, no record_id, a cell that cannot be read, a record listed twice.
    """
    step = f"Correct the table: its columns are record_id and any of {', '.join(COLUMNS[1:])}."
    columns, rows = read_table(path, COLUMNS[:1], step=step)
    table = RecordTable(path, ignored_columns=tuple(name for name in columns if name not in COLUMNS))
    seen: dict[str, str] = {}
    for row in rows:
        record_id = row.text("record_id")
        if seen.setdefault(record_id, row.where) != row.where:
            raise StoreError(f"{row.where}: record {record_id} is listed already in {seen[record_id]}")
        given = (name for name, text in row.cells.items() if known(text) and name in COLUMNS[1:])
        table.rows[record_id] = {name: _value(name, row) for name in given}
    return table


def _value(name: str, row: TableRow) -> Any:
    if name == "codes":
        return parse_codes(row.cells[name])
    if name == "sex":
        return row.value(name, parse_sex, "female, male or empty")
    if name == "patient_id":
        return row.patient(name)
    return row.age(name) if name == "age" else row.cells[name]


def join_table(
    items: Sequence[Item], table: RecordTable, only_listed: bool = False
) -> tuple[list[Item], list[str]]:
    """The items with what the table knows of them, and remarks on what does not match.

    Args:
        items: the records found.
        table: what is known of them.
        only_listed: leave out records that the table does not list.
    """
    joined = []
    unlisted: list[str] = []
    for item in items:
        row = table.rows.get(item.record_id)
        if row is None:
            unlisted.append(item.record_id)
        if row is not None or not only_listed:
            joined.append(item if row is None else replace(item, **row))
    present = {item.record_id for item in items}
    absent = [record_id for record_id in table.rows if record_id not in present]
    remarks = []
    for column in table.ignored_columns:
        hint = did_you_mean(column, COLUMNS, cutoff=0.7)
        if hint:
            remarks.append(f"{table.path}: column {column!r} is not read{hint}")
    if unlisted:
        what = "left out" if only_listed else "kept with what their headers tell"
        remarks.append(f"{len(unlisted):,} records are not in {table.path}; {what} (first: {unlisted[0]})")
    if absent:
        remarks.append(f"{len(absent):,} rows of {table.path} have no record (first: {absent[0]})")
    return joined, remarks
