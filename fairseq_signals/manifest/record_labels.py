"""Labels where the codes of a store do not say enough: a table of one's own, likelihoods of statements."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_signals.ecg.record import parse_codes
from fairseq_signals.errors import LabelError, ManifestError, did_you_mean
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.manifest.keyed_table import PATIENT, RECORD, KeyedTable, read_keyed_table
from fairseq_signals.manifest.labels import COLUMNS, LabelTable
from fairseq_signals.manifest.people import stands_in
from fairseq_signals.safety.text import csv_lines
from fairseq_signals.store.csv_table import TableRow

#: Columns of a table of labels that are looked for where none is named.
LABEL_COLUMNS = ("labels", "label")
#: PTB-XL's statements with their likelihoods in percent, an attribute of its records.
STATEMENTS = "scp_codes"
_YES, _NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def label_records(
    corpus: Corpus, path: Path, column: str | None = None, class_columns: Sequence[str] = ()
) -> LabelTable:
    """Give the records of a corpus the labels of a table, in place of their codes.

    Where a table of records has a column `patient_id` too, it says whose a record is that the stores do not.

    Args:
        corpus: records that the table does not name are left out and counted.
        path: a CSV table with a column `record_id` or `patient_id`.
        column: holds labels joined with `|` or `;`, or a list; by default the column `labels` or `label`.
        class_columns: instead of it, columns that are a class each, of 1 and 0 (or true, false, yes, no).

    Returns:
        The labels as classes: the class columns in this order, or all labels in alphabetical order.

    Raises:
        ManifestError, LabelError: where the table is malformed, names none of the records, or contradicts
            the stores about a patient.
    """
    table = read_keyed_table(path, (RECORD, PATIENT))
    column = column or next((name for name in LABEL_COLUMNS if name in table.columns), LABEL_COLUMNS[0])
    for name in class_columns or [column]:
        require_column(table, name)
    labels: dict[str, tuple[str, ...]] = {}
    for key, row in table.rows:
        found = _marked(row, class_columns) if class_columns else parse_codes(row.cells[column], ";|")
        if labels.setdefault(key, found) != found:
            raise LabelError(f"{row.where}: {table.key} {key} has other labels than in a line before")
    names = tuple(class_columns or sorted(set().union(*labels.values())))
    if not names:
        raise LabelError(f"{path}: its column {column} is empty")
    patients = patients_of_table(table)
    of_record = table.match(corpus, {key: (found, patients.get(key)) for key, found in labels.items()})
    corpus.records = [r._replace(codes=of_record[r.record_id][0]) for r in corpus.records]
    link_patients(corpus, {record: patient for record, (_, patient) in of_record.items() if patient})
    return LabelTable(names, names, tuple((name,) for name in names))


def patients_of_table(table: KeyedTable) -> dict[str, tuple[str, str]]:
    """The patient of each record of a table of records, where it names one, and where it does."""
    found: dict[str, tuple[str, str]] = {}
    for key, row in table.rows if table.key == RECORD and PATIENT in table.columns else ():
        patient = row.patient(PATIENT) or ""
        before, where = found.setdefault(key, (patient, row.where)) if patient else ("", "")
        if before != patient:
            raise ManifestError(
                f"{row.where}: {PATIENT} of record {key} is {patient!r}, but {before!r} in {where}. "
                "Remove one of the rows."
            )
    return found


def link_patients(corpus: Corpus, patients: Mapping[str, tuple[str, str]]) -> None:
    """Take the patients of records from a table where the stores do not know them.

    Raises:
        ManifestError: where they do, and say another.
    """
    facts = []
    for record in corpus.records:
        patient, where = patients.get(record.record_id, ("", ""))
        known, source = record.patient_id, f"{record.source}/"
        named = patient if patient.startswith(source) else source + patient
        if patient and stands_in(known):
            facts.append((record.record_id, named))
        elif patient and not corpus.people.are_one(named, known):
            raise ManifestError(
                f"{where}: {PATIENT} of record {record.record_id} is {patient!r}, but the store "
                f"has {known!r}. Correct the table, or leave that column out: the store's patients are used."
            )
    corpus.people.link_all(facts)
    corpus.name_patients()


def format_labels(labels: LabelTable) -> str:
    """The text of a label table's file; see `labels.read_labels`."""
    rows = zip(range(len(labels)), labels.names, labels.abbreviations, map("|".join, labels.codes))
    return "".join(csv_lines([COLUMNS, *rows]))


def require_likelihood(corpus: Corpus, least: float) -> str:
    """Take from the records the PTB-XL statements that are less likely than `least` percent.

    A likelihood of 0 means that it is not known, as for most statements of form and rhythm: these stay.

    Returns:
        A line for the summary.

    Raises:
        ManifestError: where a record's likelihoods cannot be read.
    """
    texts = corpus.attributes[STATEMENTS]
    n_left_out = n_unknown = n_statements = 0
    records = []
    for record in corpus.records:
        text = texts.get(record.record_id)
        if text is not None:
            likelihoods = _likelihoods(text, record.record_id)
            unlikely = {code for code, likelihood in likelihoods.items() if 0 < likelihood < least}
            n_statements += len(likelihoods)
            n_unknown += sum(likelihood == 0 for likelihood in likelihoods.values())
            n_left_out += len(unlikely)
            if unlikely:
                record = record._replace(codes=tuple(c for c in record.codes if c not in unlikely))
        records.append(record)
    corpus.records = records
    return (
        f"{n_left_out:,} of {n_statements:,} statements are less likely than {least:g} % and do not count; "
        f"{n_unknown:,} are of unknown likelihood and count"
    )


def require_column(table: KeyedTable, name: str) -> None:
    """Raise LabelError where a table has no such column, or it cannot name a class or target."""
    if name not in table.columns or name == table.key:
        guess = did_you_mean(name, table.columns)
        raise LabelError(f"{table.path}:1: no column {name} among {', '.join(table.columns)}{guess}")
    if "|" in name:
        raise LabelError(f"{table.path}:1: column {name!r} cannot name a class; take out |")


def _marked(row: TableRow, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a row marks."""
    marked = []
    for name in columns:
        cell = row.cells[name].lower()
        if cell not in (*_YES, *_NO):
            raise LabelError(
                f"{row.where}: {name} must be 1 or 0 (or true, false, yes, no), "
                f"but is {row.cells[name]!r}. Remove rows that are not labelled."
            )
        if cell in _YES:
            marked.append(name)
    return tuple(marked)


def _likelihoods(text: str, record: str) -> dict[str, float]:
    """The likelihood of each statement, of `{'NORM': 80.0, 'SR': 0.0}`."""
    try:
        return {str(code): float(likelihood) for code, likelihood in ast.literal_eval(text).items()}
    except (AttributeError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        raise ManifestError(
            f"--min-likelihood: record {record}: {STATEMENTS} must be like {{'NORM': 80.0}}, "
            f"but is {text[:60]!r}"
        ) from None
