"""Groups of the records of a split, by what their stores tell of them: `evaluate --by sex,age_group`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairseq_signals.errors import ConfigError, did_you_mean
from fairseq_signals.manifest.places import parse_paths
from fairseq_signals.manifest.sessions import GAPS, SAME_RECORDING, acquired_texts, gap_between, parse_time
from fairseq_signals.manifest.table import STORE, Manifest, read_manifest
from fairseq_signals.store.reading import METADATA_COLUMNS, RecordStore

UNKNOWN = "unknown"
AGE_GROUP = "age_group"
AGES = (18, 40, 65, 80)  # years, from which a group is
AGE_GROUPS = ("<18", "18-39", "40-64", "65-79", ">=80")
SESSION_GAP = "session_gap"
MOST_GROUPS = 50


def read_groups(manifests: Path, split: str, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """By column, the group of each record of a split, in the order of groups; unknown ones are the last.

    Args:
        manifests: folder with `<split>.tsv`, or `<split>_probe.tsv`, whose probes are what is counted.
        split: which manifest.
        columns: of the store, attributes of its records, "age_group", or of probes "session_gap": the time to
            the nearest of the patient's recordings in the gallery.

    Raises:
        ConfigError: no record has such a column or attribute, or it makes more than 50 groups.
    """
    names = [name for name in (f"{split}.tsv", f"{split}_probe.tsv") if (manifests / name).exists()]
    manifest = read_manifest(manifests / (names or [f"{split}.tsv"])[0])
    table = _metadata(manifest)
    found = {name: _groups(name, manifest.record_ids, table) for name in columns if name != SESSION_GAP}
    if SESSION_GAP in columns:
        path = manifests / f"{split}_gallery.tsv"
        if not path.exists():
            raise ConfigError(f"--by {SESSION_GAP}: is of gallery and probe, but there is no {path}")
        found[SESSION_GAP] = _session_gaps(manifest, table, read_manifest(path))
    return {column: found[column] for column in columns}


def _session_gaps(probe: Manifest, probe_table: pa.Table, gallery: Manifest) -> dict[str, str]:
    """Of `GAPS`, that of each probe's record."""
    sides = ((probe, probe_table), (gallery, _metadata(gallery)))
    times = [
        dict(zip(manifest.record_ids, map(parse_time, acquired_texts(table).to_pylist())))
        for manifest, table in sides
    ]
    enrolled: dict[str, list[str]] = {}
    for record, patient in gallery.patient_of().items():
        enrolled.setdefault(patient, []).append(record)
    gap_of = {}
    for record, patient in probe.patient_of().items():
        own = enrolled.get(patient, [])
        gap = gap_between(times[0][record], [times[1][name] for name in own])
        gap_of[record] = SAME_RECORDING if record in own else gap
    return dict(sorted(gap_of.items(), key=lambda item: GAPS.index(item[1])))


def _metadata(manifest: Manifest) -> pa.Table:
    """What the stores tell of the record of each segment."""
    if manifest.layout != STORE:
        raise ConfigError(f"--by: {manifest.path} is of the authors' layout, which tells nothing of records")
    names, places = parse_paths(manifest.paths)
    paths = [manifest.root / name for name in names]
    stores = {folder: RecordStore(folder) for folder in {path.parent for path in paths}}
    tables = [stores[path.parent].metadata(shards=[path.name]) for path in paths]
    begins = np.cumsum([0, *map(len, tables)])
    return pa.concat_tables(tables).take(begins[places[:, 0]] + places[:, 1])


def _groups(column: str, records: Sequence[str], table: pa.Table) -> dict[str, str]:
    values = _values(column, table)
    group_of = dict(zip(records, map(_shown, values)))
    found = set(group_of.values())
    if len(found) > MOST_GROUPS:
        raise ConfigError(
            f"--by {column}: {len(found):,} groups, but at most {MOST_GROUPS} make a table; "
            "choose a column of few values"
        )
    order = AGE_GROUPS if column == AGE_GROUP else sorted(found - {UNKNOWN})
    place = {name: i for i, name in enumerate((*order, UNKNOWN))}
    return dict(sorted(group_of.items(), key=lambda item: place[item[1]]))


def _values(column: str, table: pa.Table) -> list[Any]:
    if column == AGE_GROUP:
        ages = table["age"].to_pylist()
        return [None if age is None else AGE_GROUPS[bisect_right(AGES, age)] for age in ages]
    if column in METADATA_COLUMNS and column != "attributes":
        return table[column].to_pylist()
    attributes = [dict(pairs or ()) for pairs in table["attributes"].to_pylist()]
    known = sorted({name for each in attributes for name in each})
    if column not in known:
        choices = [AGE_GROUP, *(name for name in METADATA_COLUMNS if name != "attributes"), *known]
        raise ConfigError(
            f"--by {column}: the stores tell no such thing of any record, but {', '.join(choices)}"
            f"{did_you_mean(column, choices)}"
        )
    return [each.get(column) for each in attributes]


def _shown(value: Any) -> str:
    if value is None or value != value:
        return UNKNOWN
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
