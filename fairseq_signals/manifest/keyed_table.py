"""CSV tables that say something about records or patients, and to which records their rows belong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fairseq_signals.ecg.record import parse_patient, plain_number
from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.store.csv_table import TableRow, read_table

PATIENT, RECORD = "patient_id", "record_id"
_SUFFIX = re.compile(r"\.(hea|dat|mat|csv|edf|xml|dcm)$", re.IGNORECASE)
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
            values: by key, which is a name as in the corpus or with its source before it, as in a manifest;
                or, where no record has such a name, that of a record's file, without its folder.

        Raises:
            ManifestError: where the table names none of the records, or a name is of two corpora, or files.
        """
        bare = _bare_names(corpus, self.key)
        key_of: dict[str, str] = {}
        for record in corpus.records:
            name = getattr(record, self.key)
            keys = [key for key in dict.fromkeys((name, bare[name])) if key in values]
            if len(keys) == 2:
                raise ManifestError(
                    f"{self.path}: {name!r} and {bare[name]!r} are one {self.key}; name it in one way"
                )
            if keys:
                key_of[record.record_id] = keys[0]
        if not key_of and self.key == RECORD:
            key_of = self._by_file(corpus, values)
        if not key_of:
            example = f"{next(iter(values), '')!r} there, {next(iter(bare), '')!r} in the store"
            n_records = len(corpus.records)
            raise ManifestError(
                f"{self.path}: its {self.key} column names none of the {n_records:,} records ({example}). "
                "Name them as the store does, by record_id where it knows no patients."
            )
        corpus.leave_out(lambda record: record.record_id not in key_of, f"not in {self.path.name}")
        used = set(key_of.values())
        unused = [key for key in values if key not in used]
        if unused:
            what = f"{len(unused):,} of {len(values):,} names in {self.path.name}"
            corpus.notes.append(f"{what} are of no record here (first: {unused[0]})")
        return {record: values[key] for record, key in key_of.items()}

    def _by_file(self, corpus: Corpus, values: Iterable[str]) -> dict[str, str]:
        """The key of each record by the names of files alone: 00002_lr of p1/00002_lr and 00002_lr.hea."""
        records = _by_last_part(self.path, (record.record_id for record in corpus.records))
        wanted = set(records)
        named = _by_last_part(self.path, (name for name in values if _last_part(name) in wanted))
        if named:
            corpus.notes.append(f"{self.path.name} names {len(named):,} records by the names of their files")
        return {records[last]: name for last, name in named.items()}


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


def _last_part(name: str) -> str:
    """The name of a record's file, without folder and suffix."""
    return _SUFFIX.sub("", name.replace("\\", "/").rpartition("/")[2])


def _by_last_part(path: Path, names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        last = _last_part(name)
        if found.setdefault(last, name) != name:
            raise ManifestError(
                f"{path}: {last!r} is the name of several files ({found[last]}, {name}); name records as the "
                "store does, by their path without suffix"
            )
    return found


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
