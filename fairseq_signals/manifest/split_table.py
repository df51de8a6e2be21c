"""Published splits: a CSV table, or an attribute of the records, says which split a patient is of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.corpus import Corpus
from fairseq_signals.manifest.keyed_table import plain_number, read_keyed_table

SPLITS = ("train", "valid", "test")
# PTB-XL's recommendation: folds 1 to 8 for training, 9 for validation, 10 for testing
_FOLDS = {str(fold): "train" for fold in range(1, 9)} | {"9": "valid", "10": "test"}


def split_by_table(corpus: Corpus, path: Path) -> dict[str, str]:
    """The split of each patient; records that the table does not name are left out and counted.

    Raises:
        ManifestError: where the table is malformed, names nothing in the corpus, or divides a patient.
    """
    table = read_keyed_table(path)
    column = next((name for name in ("split", "strat_fold") if name in table.columns), None)
    if column is None:
        raise ManifestError(
            f"{path}:1: needs a column split or strat_fold, but has {', '.join(table.columns)}"
        )
    splits: dict[str, str] = {}
    for key, row in table.rows:
        split = _split(row.cells[column], column == "strat_fold", f"{row.where}: {column}")
        if splits.setdefault(key, split) != split:
            raise ManifestError(f"{row.where}: {table.key} {key} is in {splits[key]} and in {split}")
    return _of_patients(corpus, table.match(corpus, splits), str(path))


def split_by_attribute(corpus: Corpus, name: str) -> dict[str, str]:
    """The split of each patient as an attribute of their records says; records without it are left out.

    Raises:
        ManifestError: where a value is neither a split nor a fold of PTB-XL, or a patient is divided.
    """
    values = corpus.attributes[name]
    corpus.leave_out(lambda r: not values.get(r.record_id), f"without the attribute {name}")
    if not corpus.records:
        raise ManifestError(f"--split-by: no record that is left has the attribute {name}")
    found = {}
    for record in corpus.records:
        value = values[record.record_id]
        where = f"--split-by: record {record.record_id}: {name}"
        found[record.record_id] = _split(value, plain_number(value) not in SPLITS, where)
    return _of_patients(corpus, found, f"--split-by {name}")


def _split(text: str, is_fold: bool, where: str) -> str:
    value = plain_number(text)
    split = _FOLDS.get(value, "") if is_fold else value
    if split not in SPLITS:
        allowed = "1 to 10" if is_fold else ", ".join(SPLITS)
        raise ManifestError(f"{where} must be {allowed}, but is {value!r} instead")
    return split


def _of_patients(corpus: Corpus, split_of_record: Mapping[str, str], where: str) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for record in corpus.records:
        chosen = split_of_record[record.record_id]
        before = split_of.setdefault(record.patient_id, chosen)
        if before != chosen:
            raise ManifestError(
                f"{where}: patient {record.patient_id} is in {before} and, with record "
                f"{record.record_id}, in {chosen}; a patient must be in one split"
            )
    return split_of
