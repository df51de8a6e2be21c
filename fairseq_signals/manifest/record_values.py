"""The numbers of records that a regression learns: from the store, or from a table of one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fairseq_signals.ecg.record import known, plausible_age
from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.corpus import Corpus, CorpusRecord
from fairseq_signals.manifest.keyed_table import PATIENT, RECORD, read_keyed_table
from fairseq_signals.manifest.record_labels import link_patients, patients_of_table, require_column
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.store.csv_table import TableRow

AGE = "age"
#: Per record the value of each target; NaN: there is none.
Values = dict[str, tuple[float, ...]]


def values_of_corpus(corpus: Corpus, names: Sequence[str]) -> Values:
    """The values that the stores tell: the age, and attributes that are numbers; see `keep_known`."""
    found = {}
    for record in corpus.records:
        texts = [corpus.attributes[name].get(record.record_id, "") for name in names]
        found[record.record_id] = tuple(map(_number_or_nan, names, texts))
    return keep_known(corpus, names, found)


def values_of_table(
    corpus: Corpus, path: Path, names: Sequence[str] | None
) -> tuple[tuple[str, ...], Values]:
    """The values of a table, see `keep_known`; records that it does not name are left out and counted.

    Where a table of records has a column `patient_id` too, it says whose a record is that the stores do not.

    Args:
        path: a CSV table with a column `record_id` or `patient_id`.
        names: its columns of numbers; by default all others.

    Returns:
        The columns, and the values of each record that is left.

    Raises:
        ManifestError, LabelError: where the table is malformed, names none of the records, or contradicts
            the stores about a patient.
    """
    table = read_keyed_table(path, (RECORD, PATIENT))
    chosen = tuple(names or (name for name in table.columns if name not in (RECORD, PATIENT)))
    for name in chosen:
        require_column(table, name)
    if not chosen:
        raise ManifestError(f"{path}:1: there is no column of numbers beside {', '.join(table.columns)}")
    values: Values = {}
    for key, row in table.rows:
        found = tuple(_number(row, name) for name in chosen)
        if not np.array_equal(values.setdefault(key, found), found, equal_nan=True):
            raise ManifestError(f"{row.where}: {table.key} {key} has other values than in a line before")
    patients = patients_of_table(table)
    of_record = table.match(corpus, {key: (found, patients.get(key)) for key, found in values.items()})
    link_patients(corpus, {record: patient for record, (_, patient) in of_record.items() if patient})
    return chosen, keep_known(corpus, chosen, {record: found for record, (found, _) in of_record.items()})


def keep_known(corpus: Corpus, names: Sequence[str], values: Values) -> Values:
    """The values of the records that have all of them; the others are left out, and counted by target.

    Raises:
        ManifestError: none is left.
    """
    for i, name in enumerate(names):
        unknown = {record for record, found in values.items() if math.isnan(found[i])}

        def drop(record: CorpusRecord, unknown: set[str] = unknown) -> bool:
            return record.record_id in unknown

        corpus.leave_out(drop, f"without a value of {name}")
    if not corpus.records:
        raise ManifestError(f"no record has a number for each of {', '.join(names)}")
    return {record.record_id: values[record.record_id] for record in corpus.records}


def target_table(
    names: Sequence[str], units: Sequence[str], values: Values, split_of: Mapping[str, str]
) -> TargetTable:
    """The targets with mean and standard deviation (divisor n) of the training records, each counted once.

    Args:
        split_of: the split of each record.

    Raises:
        LabelError: the values of a target are all alike there.
        ManifestError: there is no training record.
    """
    train = np.array([found for record, found in values.items() if split_of[record] == "train"])
    if not len(train):
        raise ManifestError("no record is left for training, of which mean and deviation are taken")
    return TargetTable(
        tuple(names), tuple(units), tuple(train.mean(axis=0).tolist()), tuple(train.std(axis=0).tolist())
    )


def _number(row: TableRow, column: str) -> float:
    """A cell of a table, NaN where it says that nothing is known."""
    if known(row.cells[column]) is None:
        return math.nan
    return row.value(column, _finite, "a number, or empty")


def _number_or_nan(name: str, text: str) -> float:
    """What a store tells; NaN where that is no number, or no age that anybody can have."""
    try:
        number = _finite(text)
    except ValueError:
        return math.nan
    return number if name != AGE or plausible_age(number) is not None else math.nan


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number
