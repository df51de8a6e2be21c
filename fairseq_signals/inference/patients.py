"""Whose recordings are: what folders, stores and manifests say, or a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import known
from fairseq_signals.errors import ConfigError
from fairseq_signals.inference.listing import ListedRecording
from fairseq_signals.safety.text import visible
from fairseq_signals.store.csv_table import read_table

_MANY_OF_ONE = 100  # recordings of a person, from which the folders may stand for something else


def patients_of(recordings: Sequence[ListedRecording], table: Path | None) -> list[str]:
    """Whose each recording is.

    Args:
        recordings: in a folder with a folder a patient, the first part of a name says whose it is; stores
            and manifests say it themselves.
        table: CSV with the columns `record` and `patient`, in place of that.

    Raises:
        ConfigError: nothing says whose a recording is; or two folders say it, each in its own way; or the
            table lacks a column or a recording, or contradicts itself.
    """
    if table is None:
        known = [named.patient for named in recordings if named.patient is not None]
        if len(known) < len(recordings):
            first = next(named.name for named in recordings if named.patient is None)
            raise ConfigError(
                f"{first}: a file alone does not say whose recording it is; name its folder, with a folder a "
                "patient, or pass --patients"
            )
        _require_one_folder(recordings)
        return known
    patient = _read_patients(table)
    missing = [named.name for named in recordings if named.name not in patient]
    if missing:
        raise ConfigError(f"{table}: has no patient for {len(missing)} recordings, the first {missing[0]}")
    return [patient[named.name] for named in recordings]


def odd_about(patients: Sequence[str]) -> str | None:
    """What makes it doubtful that these are people, one a recording; None: nothing."""
    counts = Counter(patients)
    patient, n = counts.most_common(1)[0]
    if len(counts) == 1:
        found = f"all {n} enrolled recordings are of one patient, {patient!r}"
    elif n > _MANY_OF_ONE:
        found = f"{n} of the enrolled recordings are of one patient, {patient!r}"
    else:
        return None
    return f"{found}; if its name does not stand for one person, say with --patients who is who"


def listed_ids(patient_ids: Any) -> Any:
    """Patient ids of any container, such as a pandas column, in a list; anything else as it is.

    Raises:
        ConfigError: there are others than texts and integers, such as blank cells of a table, or "NA".
    """
    ids = np.asarray(patient_ids, dtype=object).tolist()
    if isinstance(ids, list) and not all(map(_is_id, ids)):
        raise ConfigError("patient ids must be texts or integers, one a recording, and none may be missing")
    return ids


def _is_id(value: Any) -> bool:
    return known(value) is not None if isinstance(value, str) else isinstance(value, (int, np.integer))


def _require_one_folder(recordings: Sequence[ListedRecording]) -> None:
    folders: dict[str | None, str | None] = {}
    for named in recordings:
        other = folders.setdefault(named.patient, named.folder)
        if other != named.folder:
            raise ConfigError(
                f"{named.patient} is in {other or 'a store or manifest'} and in "
                f"{named.folder or 'a store or manifest'}, and nothing tells whether that is one person; "
                "pass --patients"
            )


def _read_patients(table: Path) -> dict[str, str]:
    """The patient of each record of a table; records of an unknown one are not in it."""
    patients: dict[str, str] = {}
    advice = "Save a table with both as CSV UTF-8."
    for row in read_table(table, ("record", "patient"), ConfigError, advice)[1]:
        record, patient = visible(row.cells["record"]), visible(row.patient("patient") or "")
        if patient and patients.setdefault(record, patient) != patient:
            raise ConfigError(
                f"{table}: two rows say whose {record} is, {patients[record]} and {patient}; leave one"
            )
    return patients
