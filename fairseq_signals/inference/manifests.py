"""The recordings that a manifest lists, whole, for a model to use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Union

from fairseq_signals.data.manifest import STORE, Manifest, parse_path, read_manifest
from fairseq_signals.data.store import RecordStore
from fairseq_signals.inference.sources import StoreRecord


class ListedRecord(NamedTuple):
    """A recording of a manifest.

    Attributes:
        record_id, patient_id: as in the manifest.
        source: what `ECGModel` takes.
    """

    record_id: str
    patient_id: str
    source: Union[StoreRecord, Path]


def manifest_records(manifest: Manifest | str | os.PathLike[str]) -> list[ListedRecord]:
    """Each recording of which a manifest lists a segment, once, in the manifest's order.

    Recordings are whole: also what the manifest does not list of them. Of `.mat` files of the authors'
    scripts, the first segment that is listed stands for its recording.

    Raises:
        ManifestError, StoreError: the manifest or a store that it names cannot be read.
    """
    listed = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    stores: dict[str, RecordStore] = {}
    found: dict[str, ListedRecord] = {}
    for path, record_id, patient_id in zip(listed.paths, listed.record_ids, listed.patient_ids):
        if record_id in found:
            continue
        source: Union[StoreRecord, Path] = listed.root / path
        if listed.layout == STORE:
            shard, row, _ = parse_path(path)
            folder, name = os.path.split(shard)
            if folder not in stores:
                stores[folder] = RecordStore(listed.root / folder)
            source = StoreRecord(stores[folder], shard=name, row=row)
        found[record_id] = ListedRecord(record_id, patient_id, source)
    return list(found.values())
