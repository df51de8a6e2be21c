"""From columns of numbers, however a file keeps them, to leads: time, sampling rate, units and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairseq_signals.ecg.lead_names import NOTHING_SAID
from fairseq_signals.ecg.leads import lead_of
from fairseq_signals.ecg.record import NOBODY, Record, Subject
from fairseq_signals.ecg.units import INT16_MAX, millivolt_per
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.assemble import Channel, assemble, require_leads
from fairseq_signals.formats.limits import require_length
from fairseq_signals.formats.options import ReadOptions
from fairseq_signals.formats.time_column import Clock, is_even, names_time, read_clock, unit_in_name
from fairseq_signals.safety.text import counted

UNSAID = "without a sampling rate or unit"  # kind of rejection
_RATE_AGREES = 1e-6
_NO_CLOCK = Clock(None, 0.0)
_DECIMALS = 7  # up to which a lead may be whole steps of a power of ten


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as in the file; "" where it has none.
        values: (T,) numbers, NaN where one is missing; None where it does not hold numbers.
        unit: that the file gives for it, besides its name; "" where it does not.
        clock: the times that it holds, where these are not numbers.
        note: what is to be said of its cells, a sentence.
    """

    name: str
    values: np.ndarray | None
    unit: str = ""
    clock: Clock | None = None
    note: str = ""


@dataclass(frozen=True)
class FileSays:
    """What a file says of all its columns.

    Attributes:
        fs: sampling rate in Hz, or None.
        unit: of the samples, or "".
        report, subject: as in `Record`.
        is_named: whether the columns have names.
    """

    fs: float | None = None
    unit: str = ""
    report: str | None = None
    subject: Subject = NOBODY
    is_named: bool = True


def read_columns(
    record_id: str, file: str, columns: Sequence[Column], says: FileSays, options: ReadOptions
) -> Record:
    """The record that the columns of a file make.

    A column of times or row numbers gives the sampling rate, if nothing else does, and is no channel.

    Args:
        file: its name, for messages.

    Raises:
        SignalError: the rate or the unit is not known or contradicted, times are missing, or see `assemble`.
    """
    where = f"record {record_id}: {file}"
    time = _time_column(columns, options)
    channels = [column for column in columns if column is not time]
    if not says.is_named and options.lead_names == NOTHING_SAID:
        raise SignalError(
            f"{where} has {counted(len(channels), 'signal')} without a name, so nothing says which "
            f"leads they are. Name them in their order with --lead-names I,II,... (lead_names= in Python).",
            kind="without any of the 12 leads",
        )
    require_leads(record_id, [column.name for column in channels], options)
    fs, notes = _rate(where, time, says, options)
    notes += (column.note for column in channels if column.note)
    require_length(record_id, sum(0 if c.values is None else len(c.values) for c in channels), fs, options)
    made = [_channel(where, column, says, options) for column in channels]
    return assemble(record_id, fs, made, says.subject, says.report, notes, options)


def _time_column(columns: Sequence[Column], options: ReadOptions) -> Column | None:
    """The column of times or of row numbers, if there is one."""
    said = options.lead_names
    if said.in_order and len(said.in_order) == len(columns):
        return None  # the user names every column
    free = [column for column in columns if not said.names(column.name)]
    named = next((c for c in free if c.clock or (c.values is not None and names_time(c.name))), None)
    if named is not None or not free or len(columns) < 2:
        return named
    return free[0] if lead_of(free[0].name) is None and is_even(free[0].values) else None


def _rate(where: str, time: Column | None, says: FileSays, options: ReadOptions) -> tuple[float, list[str]]:
    """The sampling rate, and what is to be said of it."""
    by_time = _NO_CLOCK
    if time is not None and time.clock is not None:
        by_time = time.clock
    elif time is not None and time.values is not None:
        by_time = read_clock(where, time.values, time.unit or unit_in_name(time.name))
    fs = options.fs if says.fs is None else says.fs
    if options.fs is not None and fs is not None and abs(fs - options.fs) > _RATE_AGREES * fs:
        raise _contradiction(where, "sampling rate", f"{fs:g} Hz", f"fs={options.fs:g} Hz")
    if by_time.fs is None and fs is None:
        raise SignalError(
            f"{where} does not say its sampling rate. Say it with --fs HZ (--input-fs in preprocess, fs= of "
            f"read_recording).",
            kind=UNSAID,
        )
    if by_time.fs is None or fs is None:
        found = fs or by_time.fs
        assert found is not None
        return found, [] if time is None or fs else [
            f"sampling rate {found:g} Hz by the column {time.name!r}"
        ]
    if abs(fs - by_time.fs) > by_time.tolerance * fs:
        raise _contradiction(where, "sampling rate", f"{by_time.fs:.6g} Hz by its times", f"fs={fs:g} Hz")
    return fs, []


def _channel(where: str, column: Column, says: FileSays, options: ReadOptions) -> Channel:
    if column.values is None:
        return Channel(column.name, np.zeros(0), None, unit="text")
    own = unit_in_name(column.name) or column.unit or says.unit
    if own and options.unit and _differ(own, options.unit):
        raise _contradiction(where, f"unit of {column.name!r}", repr(own), f"unit={options.unit!r}")
    unit = own or options.unit
    if not unit:
        raise SignalError(
            f"{where} does not say the unit of its samples. Say it with --unit mV, uV or V (unit= of "
            f"read_recording).",
            kind=UNSAID,
        )
    decimals = _decimals(column.values)
    values = np.rint(column.values * 10.0**decimals) if decimals else column.values
    return Channel.in_unit(column.name, values, 10.0**-decimals, unit)


def _differ(one: str, other: str) -> bool:
    """Whether two units are different voltages; one that is none is told by `assemble`."""
    voltages = millivolt_per(one), millivolt_per(other)
    return None not in voltages and voltages[0] != voltages[1]


def _decimals(values: np.ndarray) -> int:
    """How many decimals the values have, if few enough that they are kept as they are in 16 bits; else 0."""
    finite = values[np.isfinite(values)]
    most = np.abs(finite).max(initial=0)
    for decimals in range(_DECIMALS + 1):
        if most * 10**decimals > INT16_MAX:
            break
        scaled = finite * 10.0**decimals
        if np.abs(scaled - np.rint(scaled)).max(initial=0) < 1e-3:
            return decimals
    return 0


def _contradiction(where: str, what: str, file: str, given: str) -> SignalError:
    return SignalError(
        f"{where}: the {what} is {file} in the file, but {given} was given. Leave the option out, or correct "
        f"the file.",
        kind="malformed",
    )
