"""Claims of whom recordings are of: a table of them, and what a gallery says of each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_signals.errors import ConfigError, did_you_mean, without_record
from fairseq_signals.inference.listing import ListedRecording
from fairseq_signals.inference.results import Verification
from fairseq_signals.inference.sources import StoreRecord
from fairseq_signals.safety.text import visible
from fairseq_signals.store.csv_table import read_table

COLUMNS = (
    *("record", "patient", "recordings", "similarity_max", "similarity_mean", "threshold", "accepted"),
    *("nearest_patient", "nearest_similarity", "note"),
)


def read_claims(table: Path, probes: Sequence[ListedRecording], patients: Sequence[str]) -> dict[str, str]:
    """Whom each recording is said to be of, by a CSV file with columns `record` and `patient`, in its order.

    Args:
        table: the file.
        probes: the recordings that claims may be of, by their names.
        patients: who is enrolled; others may be claimed, too, but not all of them.

    Raises:
        ConfigError: naming file and line, a column that is not there, a cell that is empty or too many, a
            recording that is named twice or is none of the probes; or not one claim of somebody who is
            enrolled.
    """
    names = [probe.name for probe in probes]
    claims: dict[str, str] = {}
    known, seen = set(names), dict[str, str]()
    advice = "Save a table with both as CSV UTF-8."
    for row in read_table(table, ("record", "patient"), ConfigError, advice, exact=True)[1]:
        record, patient = visible(row.text("record")), visible(row.patient("patient") or "")
        if not patient:
            raise ConfigError(f"{row.where}: {record} has no patient; say whom it is claimed to be of")
        if record not in known:
            raise ConfigError(
                f"{row.where}: {record} is none of the {len(names):,} recordings of --probe, such as "
                f"{names[0]}{did_you_mean(record, names)}"
            )
        first = seen.setdefault(record, row.where)
        if first != row.where:
            other = f"in {first} already for {claims[record]}"
            raise ConfigError(f"{row.where}: {record} is claimed for {patient}, {other}; leave one")
        claims[record] = patient
    if not claims:
        raise ConfigError(f"{table}: there is no claim in it; give a line a recording")
    if not set(patients).intersection(claims.values()):
        claimed = next(iter(claims.values()))
        raise ConfigError(
            f"{table}: none of the claimed patients is enrolled: {claimed} and so on, but the gallery has "
            f"{patients[0]} and so on{did_you_mean(claimed, sorted(set(patients)))}"
        )
    return claims


def claim_rows(
    claims: Mapping[str, str],
    verified: Mapping[str, Verification],
    reasons: Mapping[str, Exception],
    threshold: float | None,
) -> Iterator[list[str]]:
    """The lines of a table, `COLUMNS` first: one a claim, in their order.

    Args:
        claims: by recording the patient.
        verified: by recording what was found.
        reasons: by recording why it could not be used.
        threshold: similarity from which a claim is accepted, where there is one.
    """
    yield list(COLUMNS)
    limit = _shown(math.nan if threshold is None else threshold)
    for record, patient in claims.items():
        found = verified.get(record)
        if found is None:
            reason = visible(without_record(reasons[record], record))
            yield [record, patient, "", "", "", limit, "", "", "", f"not compared: {reason}"]
            continue
        accepted = "" if found.accepted is None else str(int(found.accepted))
        note = "" if found.n_recordings else "patient not enrolled"
        values = [str(found.n_recordings), _shown(found.highest), _shown(found.mean), limit, accepted]
        yield [record, patient, *values, str(found.nearest_id), _shown(found.nearest), note]


def place_of(source: Any) -> tuple[str, ...]:
    """Where a listed recording lies, the same however it was named."""
    if isinstance(source, StoreRecord):
        return os.path.realpath(str(source.store)), str(source.shard), str(source.row)
    return (os.path.realpath(str(source)),)


def _shown(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
