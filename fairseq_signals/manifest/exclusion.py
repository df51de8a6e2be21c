"""Which people a pre-training set must not contain: those that downstream tasks hold out for testing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fairseq_signals.errors import ManifestError, StoreError
from fairseq_signals.manifest.corpus import Corpus, CorpusRecord
from fairseq_signals.manifest.folder import PRETRAIN, ManifestSet, read_set
from fairseq_signals.manifest.people import People
from fairseq_signals.manifest.selection import python_values, read_metadata
from fairseq_signals.manifest.table import MAT_IDENTIFICATION, STORE, Manifest


def exclude_held_out(corpus: Corpus, folders: Sequence[Path]) -> list[str]:
    """Leave out all records of the people whom the folders hold out for validation or test.

    A person is found by patient (where known), by record, and by a record's other published names.

    Returns:
        Lines for the summary.

    Raises:
        ManifestError: where a folder holds no downstream manifests, or one that cannot be read.
    """
    sets = [_read_downstream(folder) for folder in folders]
    notes = []
    known = set(corpus.stores)
    for downstream in sets:
        link_manifests(corpus.people, downstream.manifests.values())
        unreadable = link_stores(corpus.people, downstream.manifests.values(), known)
        notes += [
            f"note: cannot read {store}; of the patients in {downstream.folder} only listed records are known"
            for store in unreadable
        ]
    person_of = corpus.people.of_record
    for downstream in sets:
        people = {person_of(r) for manifest in downstream.held_out().values() for r in manifest.record_ids}
        reason = f"held out by {downstream.folder}"

        def drop(record: CorpusRecord, people: set[str] = people) -> bool:
            return person_of(record.record_id) in people

        n_left_out = corpus.leave_out(drop, reason)
        notes.append(f"{reason}: {n_left_out:,} records of {len(people):,} patients for validation and test")
    if not corpus.records:
        raise ManifestError("no record is left for pre-training: all belong to held-out patients")
    return notes


def link_manifests(people: People, manifests: Iterable[Manifest]) -> None:
    """Add what manifests tell about records and patients."""
    for manifest in manifests:
        facts = set(zip(manifest.record_ids, manifest.patient_ids))
        if manifest.layout == MAT_IDENTIFICATION:  # there a patient is a class number, counted in each folder
            facts = {(record, f"{manifest.path.parent}:{patient}") for record, patient in facts}
        if manifest.layout != STORE:  # one file is one record, whatever root it is named from
            facts |= {(record, str(manifest.root / record)) for record in manifest.record_ids}
        people.link_all(facts)


def link_stores(people: People, manifests: Iterable[Manifest], known: set[Path]) -> list[Path]:
    """Add what the stores behind manifests tell about their records, listed or not.

    Args:
        known: stores that need not be read (again); extended.

    Returns:
        The stores that cannot be read.
    """
    unreadable = []
    of_stores = (m for m in manifests if m.layout == STORE)  # .mat files are of none
    stores = {(m.root / shard).parent.resolve() for m in of_stores for shard in m.shards()}
    for store in sorted(stores.difference(known)):
        known.add(store)
        try:
            table = read_metadata(store, store)
        except StoreError:
            unreadable.append(store)
            continue
        people.link_acquisitions(zip(python_values(table["acquisition"]), python_values(table["patient"])))
    return unreadable


def _read_downstream(folder: Path) -> ManifestSet:
    downstream = read_set(folder)
    if downstream.faults:
        raise ManifestError(downstream.faults[0])
    if downstream.kind == PRETRAIN:
        raise ManifestError(
            f"--exclude {folder}: these are pre-training manifests; name those of classification.py or "
            "identification.py"
        )
    if not any(len(manifest) for manifest in downstream.held_out().values()):
        raise ManifestError(f"--exclude {folder}: it has no validation or test manifests with any segment")
    if any(manifest.layout != STORE for manifest in downstream.manifests.values()):
        raise ManifestError(
            f"--exclude {folder}: it lists .mat files, whose names do not tell their corpus. "
            "Make the downstream manifests from a store too."
        )
    return downstream
