"""What stores tell about their records, as columns, and the choice of the records that manifests are made of.

Work here is on whole columns: a store of a million records is filtered in seconds.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.errors import ManifestError
from fairseq_signals.files import open_text
from fairseq_signals.manifest.people import MAYBE_PTB_XL, acquisition
from fairseq_signals.manifest.where import FAULTS_COLUMN, Column, Where
from fairseq_signals.store.reading import FAULTS_FILE, RecordStore
from fairseq_signals.store.shards import KEPT


def read_metadata(store: Path, root: Path, columns: Iterable[str] = ()) -> pa.Table:
    """One row a record of a store.

    Args:
        root: the folder that `shard` is relative to.
        columns: further columns to have: of the store, or `n_faults`.

    Returns:
        `record` and `patient`, the names in a manifest; `acquisition`, one name for all copies of a record;
        `shard`, `row`, `n_samples`, `source`; and `columns`.
    """
    wanted = {"record_id", "patient_id", "source", "n_samples", "shard", "row", *columns}
    table = RecordStore(store).metadata(sorted(wanted - {FAULTS_COLUMN}))
    folder = Path(os.path.relpath(store, root)).as_posix()
    if folder != ".":
        path = pc.binary_join_element_wise(folder, table["shard"], "/")
        table = table.set_column(table.schema.get_field_index("shard"), "shard", path)
    record = pc.binary_join_element_wise(table["source"], table["record_id"], "/")
    table = table.append_column("record", record)
    table = table.append_column("patient", _patients(table))
    table = table.append_column("acquisition", _acquisitions(record))
    return (
        table.append_column(FAULTS_COLUMN, _fault_counts(store, record)) if FAULTS_COLUMN in wanted else table
    )


def python_values(column: Column) -> list[Any]:
    """The column as Python objects, in a fraction of the time of `to_pylist`; equal texts are one object."""
    found = column.to_numpy().tolist()
    return list(map(sys.intern, found)) if pa.types.is_string(column.type) else found


def python_lists(column: Column) -> list[tuple[Any, ...]]:
    """A column of lists without nulls as tuples."""
    found: list[tuple[Any, ...]] = []
    for chunk in column.chunks:
        items = python_values(pa.chunked_array([chunk.flatten()]))
        ends = np.cumsum(pc.list_value_length(chunk).to_numpy(zero_copy_only=False)).tolist()
        found += [tuple(items[begin:end]) for begin, end in zip([0, *ends], ends)]
    return found


def _patients(table: pa.Table) -> Column:
    """As `people.patient_key`."""
    patient_id = pc.fill_null(table["patient_id"], "")
    named = pc.binary_join_element_wise(table["source"], patient_id, "/")
    standing_in = pc.binary_join_element_wise(table["source"], "record", table["record_id"], "/")
    return pc.if_else(pc.equal(patient_id, ""), standing_in, named)


def _acquisitions(record: Column) -> Column:
    """As `people.acquisition`."""
    maybe = pc.match_substring_regex(record, MAYBE_PTB_XL)
    if not pc.any(maybe).as_py():
        return record
    names = pa.array([acquisition(name) for name in python_values(record.filter(maybe))], pa.string())
    return pa.chunked_array([pc.replace_with_mask(_one_chunk(record), _one_chunk(maybe), names)])


def _fault_counts(store: Path, record: Column) -> Column:
    """How many of the twelve leads of each record preprocessing found unusable."""
    path = store / FAULTS_FILE
    try:
        with open_text(path) as file:
            header, *lines = file.read().split("\n")
        if not header.startswith("record\tlead\t") or lines[-1:] != [""]:
            raise ValueError("it does not begin or end as it was written; preprocess again")
        faults = (line.split("\t", 2) for line in lines[:-1])
        absent = (name for name, lead, why in faults if lead in LEADS and not why.startswith(KEPT))
        counts = Counter(absent)
    except FileNotFoundError:
        raise ManifestError(f"{path}: there is no such file, so n_faults is not known") from None
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: cannot be read ({error}), so n_faults is not known") from error
    return pa.chunked_array([pa.array([counts[name] for name in python_values(record)], pa.int64())])


class Selection:
    """The records that remain when one condition after the other leaves some out.

    Args:
        table: as from `read_metadata`.

    Attributes:
        table: what remains.
        left_out: how many records do not, by reason.
    """

    def __init__(self, table: pa.Table):
        self.table = table
        self.left_out: Counter[str] = Counter()

    def keep(self, mask: Column, reason: str) -> None:
        """Leave out the rows where the mask is not true."""
        n_left_out = len(self.table) - (pc.sum(mask).as_py() or 0)
        if n_left_out:  # else there is nothing to copy
            self.table = self.table.filter(mask)
            self.left_out[reason] += n_left_out

    def of_sources(self, names: Sequence[str]) -> None:
        """Keep the corpora of these names; all if there is no name."""
        if names:
            check_sources(self.table, names, "--sources")
            self.keep(pc.is_in(self.table["source"], value_set=pa.array(names)), "of other sources")

    def where(self, where: Where) -> list[str]:
        """Keep the records for which an expression is true; gives remarks for the summary."""
        remarks = where.check_values(self.table)
        outcome = where.evaluate(self.table)
        known = pc.is_valid(outcome)
        self.keep(known, "without a value that --where asks for")
        self.keep(outcome.filter(known), "not as --where asks")
        return remarks

    def without_copies(self) -> None:
        """Keep one record of each acquisition, the one of most use."""
        numbers = _one_chunk(self.table["acquisition"].dictionary_encode()).indices.to_numpy()
        repeated = np.flatnonzero(np.bincount(numbers, minlength=1)[numbers] > 1)
        if not len(repeated):
            return
        columns = ("acquisition", "patient_id", "record", "shard", "row")
        copies = self.table.select(columns).take(repeated).to_pylist()

        def preference(i: int) -> tuple[Any, ...]:
            copy = copies[i]
            is_low_rate = copy["record"].endswith("_lr")  # PTB-XL's 100 Hz copy
            return not copy["patient_id"], is_low_rate, copy["record"], copy["shard"], copy["row"]

        best: dict[str, int] = {}
        for i in sorted(range(len(copies)), key=preference):
            best.setdefault(copies[i]["acquisition"], i)
        mask = np.ones(len(self.table), bool)
        mask[repeated] = False
        mask[repeated[list(best.values())]] = True
        self.keep(pa.array(mask), "copies of another record")

    def of_one_rate(self, fs: float | None) -> float:
        """Keep the records of one sampling rate, and give it; without `fs` there must be only one."""
        counts = Counter(python_values(self.table["fs"]))
        if fs is None:
            if len(counts) > 1:
                found = ", ".join(f"{n:,} at {rate:g} Hz" for rate, n in counts.most_common())
                raise ManifestError(
                    f"records have several sampling rates: {found}. "
                    "Preprocess with one, or choose it with --fs."
                )
            fs = next(iter(counts), DEFAULT_FS)
        for rate in counts:
            if rate != fs:
                self.keep(pc.not_equal(self.table["fs"], rate), f"sampled at {rate:g} Hz, not {fs:g}")
        return fs

    def sorted_by_record(self) -> pa.Table:
        """What remains, in the order of the records' names."""
        return self.table.take(pc.sort_indices(self.table["record"]))


def check_sources(table: pa.Table, names: Sequence[str], option: str) -> None:
    """Refuse names of corpora that no record is of."""
    present = sorted(pc.unique(table["source"]).to_pylist())
    unknown = sorted(set(names).difference(present))
    if unknown:
        raise ManifestError(
            f"{option}: no {', '.join(unknown)} in the store; it has {', '.join(present) or 'no records'}"
        )


def _one_chunk(column: Column) -> Any:
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)  # older pyarrow
