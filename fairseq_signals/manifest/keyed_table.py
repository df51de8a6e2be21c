"""CSV tables that say something about records or patients, and to which records their rows belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fairseq_signals.ecg.record import parse_patient, plain_number
from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.store.csv_table import TableRow, read_table

PATIENT, RECORD = "patient_id", "record_id"
T = TypeVar("T")


@dataclass(frozen=True)
class KeyedTable:
    """A table with a column `patient_id` or `record_id`.

    Args:
        path: the file.
        key: the name of that column.
        columns: all its columns.
        rows: the key and the row of each row that has a key.
    """

    path: Path
    key: str
    columns: tuple[str, ...]
    rows: list[tuple[str, TableRow]]

    def match(self, corpus: Corpus, values: Mapping[str, T]) -> dict[str, T]:
        """The value of each record, by its id; records that the table does not name are left out.

        Args:
            values: by key, which is a name as in the corpus or with its source before it, as in a manifest.

        Raises:
            ManifestError: where the table names none of the records, or a name is of two corpora.
        """
        bare = _bare_names(corpus, self.key)
        found: dict[str, T] = {}
        for record in corpus.records:
            name = getattr(record, self.key)
            rows = {key: values[key] for key in (name, bare[name]) if key in values}
            if len(rows) == 2:
                raise ManifestError(
                    f"{self.path}: {name!r} and {bare[name]!r} are one {self.key}; name it in one way"
                )
            if rows:
                found[record.record_id] = next(iter(rows.values()))
        if not found:
            example = f"{next(iter(values), '')!r} there, {next(iter(bare), '')!r} in the store"
            n_records = len(corpus.records)
            raise ManifestError(
                f"{self.path}: its {self.key} column names none of the {n_records:,} records ({example}). "
                "Name them as the store does, by record_id where it knows no patients."
            )
        corpus.leave_out(lambda record: record.record_id not in found, f"not in {self.path.name}")
        return found


def read_keyed_table(path: Path, keys: Sequence[str] = (PATIENT, RECORD)) -> KeyedTable:
    """Read a CSV table about records or patients.

    Args:
        path: the file.
        keys: which column names what a row is about, in order of preference.

    Raises:
        ManifestError: where it cannot be read, or has no column for records or patients.
    """
    columns, lines = read_table(path, error=ManifestError)
    key = next((name for name in keys if name in columns), None)
    if key is None:
        raise ManifestError(
            f"{path}:1: needs a column patient_id or record_id, but has {', '.join(columns) or 'none'}"
        )
    read = parse_patient if key == PATIENT else plain_number
    rows = ((read(row.cells[key]), row) for row in lines)
    return KeyedTable(path, key, columns, [(name, row) for name, row in rows if name])


def _bare_names(corpus: Corpus, key: str) -> dict[str, str]:
    """For each manifest name in use its name without the corpus, if no other corpus has the same."""
    names = {getattr(record, key) for record in corpus.records}
    bare = {name: name.split("/", 1)[1] for name in sorted(names)}
    owners: dict[str, str] = {}
    for name, short in bare.items():
        if owners.setdefault(short, name) != name:
            raise ManifestError(
                f"{key} {short!r} is in two corpora ({owners[short]}, {name}); choose with --sources"
            )
    return bare
