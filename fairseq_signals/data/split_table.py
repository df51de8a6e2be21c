"""Published splits: a CSV table that says for each patient or record which split it belongs to."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from fairseq_signals.data.manifest_build import Corpus, Recording
from fairseq_signals.errors import ManifestError

SPLITS = ("train", "valid", "test")
# PTB-XL's recommendation: folds 1 to 8 for training, 9 for validation, 10 for testing
_FOLDS = {str(fold): "train" for fold in range(1, 9)} | {"9": "valid", "10": "test"}


def split_by_table(corpus: Corpus, path: Path) -> dict[str, str]:
    """The split of each patient; recordings that the table does not name are left out and counted.

    Raises:
        ManifestError: where the table is malformed, names nothing in the corpus, or divides a patient.
    """
    key_column, table = _read_table(path)
    names = _bare_names(corpus, key_column)

    def split(recording: Recording) -> str | None:
        name = getattr(recording, key_column)
        return table.get(name) or table.get(names[name])

    n_before = len(corpus.recordings)
    reason = f"not in {path.name}"
    corpus.leave_out(lambda recording: None if split(recording) else reason)
    if not corpus.recordings:
        example = f"{next(iter(table), '')!r} there, {next(iter(names), '')!r} in the store"
        raise ManifestError(
            f"{path}: its {key_column} column names none of the {n_before:,} records ({example})"
        )
    split_of: dict[str, str] = {}
    for recording in corpus.recordings:
        chosen = split(recording)
        assert chosen is not None
        before = split_of.setdefault(recording.patient_id, chosen)
        if before != chosen:
            raise ManifestError(
                f"{path}: patient {recording.patient_id} is in {before} and, with record "
                f"{recording.record_id}, in {chosen}; a patient must be in one split"
            )
    return split_of


def _bare_names(corpus: Corpus, key_column: str) -> dict[str, str]:
    """For each manifest name in use its name without the corpus, if no other corpus has the same."""
    names = {getattr(recording, key_column) for recording in corpus.recordings}
    bare = {name: name.split("/", 1)[1] for name in sorted(names)}
    owners: dict[str, str] = {}
    for name, short in bare.items():
        if owners.setdefault(short, name) != name:
            raise ManifestError(
                f"{key_column} {short!r} is in two corpora ({owners[short]}, {name}); choose with --sources"
            )
    return bare


def _read_table(path: Path) -> tuple[str, dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read as a CSV table ({error})") from None
    key_column = next((name for name in ("patient_id", "record_id") if name in columns), None)
    split_column = next((name for name in ("split", "strat_fold") if name in columns), None)
    if key_column is None or split_column is None:
        raise ManifestError(
            f"{path}:1: needs a column patient_id or record_id and a column split or strat_fold, "
            f"but has {', '.join(columns) or 'none'}"
        )
    table: dict[str, str] = {}
    for number, row in rows:
        key, value = _plain_number(row[key_column]), _plain_number(row[split_column])
        split = _FOLDS.get(value, "") if split_column == "strat_fold" else value
        if split not in SPLITS:
            allowed = "1 to 10" if split_column == "strat_fold" else ", ".join(SPLITS)
            raise ManifestError(
                f"{path}:{number}: {split_column} must be {allowed}, but is {value!r} instead"
            )
        if key and table.setdefault(key, split) != split:
            raise ManifestError(f"{path}:{number}: {key_column} {key} is in {table[key]} and in {split}")
    return key_column, table


def _plain_number(value: str | None) -> str:
    """`13243.0`, as tables written with missing values have it, is 13243."""
    value = (value or "").strip()
    return value[:-2] if re.fullmatch(r"\d+\.0", value) else value
