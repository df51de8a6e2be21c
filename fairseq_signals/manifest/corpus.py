"""The records that manifests are made of, and lists of their segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.people import People
from fairseq_signals.manifest.table import Row


class CorpusRecord(NamedTuple):
    """A record of a store that a manifest may use.

    Args:
        shard: its file, relative to the root of the manifests.
        row: 0-based row in the shard.
        record_id, patient_id: as in a manifest.
        source: the corpus.
        n_samples: samples per lead.
        codes: diagnosis codes as in the source; empty unless asked for.
    """

    shard: str
    row: int
    record_id: str
    patient_id: str
    source: str
    n_samples: int
    codes: tuple[str, ...] = ()


class SegmentList:
    """The segments of some records as rows of a manifest; made anew whenever they are gone through.

    Args:
        segment_samples: length of a segment.
    """

    def __init__(self, segment_samples: int):
        self.segment_samples = segment_samples
        self.entries: list[tuple[CorpusRecord, Sequence[int], str]] = []
        self._all: dict[int, range] = {}  # segments by length of the record; most have the same

    def add(self, record: CorpusRecord, target: str = "", segments: Sequence[int] | None = None) -> None:
        """List segments of a record; by default all whole ones from its start."""
        if segments is None:
            n = record.n_samples // self.segment_samples
            segments = self._all.setdefault(n, range(n))
        self.entries.append((record, segments, target))

    def __iter__(self) -> Iterator[Row]:
        n = self.segment_samples
        for record, segments, target in self.entries:
            place = f"{record.shard}#{record.row}:"
            for k in segments:
                yield Row(f"{place}{k * n}", n, record.record_id, record.patient_id, k, target)

    def records(self) -> set[str]:
        """The records that are listed."""
        return {record.record_id for record, _, _ in self.entries}

    def counts(self) -> dict[str, int]:
        """How many segments, records and patients are listed."""
        return {
            "segments": sum(len(segments) for _, segments, _ in self.entries),
            "records": len(self.records()),
            "patients": len({record.patient_id for record, _, _ in self.entries}),
        }


@dataclass
class Corpus:
    """The records that a script works on.

    Args:
        root: the folder that shards are relative to.
        stores: the stores' folders.
        records: in the order of their record ids.
        people: who is who, from all records of the stores (also those left out).
        fs: sampling rate of all records, Hz.
        segment_samples: length of a segment.
        n_read: records in the stores.
        left_out: how many of them are not in `records`, by reason.
        notes: lines for the summary.
        attributes: by name what was asked for, by record id; records without it are not there.
    """

    root: Path
    stores: list[Path]
    records: list[CorpusRecord]
    people: People
    fs: float
    segment_samples: int
    n_read: int
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)

    def leave_out(self, drop: Callable[[CorpusRecord], bool], reason: str) -> int:
        """Remove the records for which `drop` is true, and count them by reason; gives their number."""
        kept = [record for record in self.records if not drop(record)]
        n_left_out = len(self.records) - len(kept)
        if n_left_out:
            self.left_out[reason] += n_left_out
        self.records = kept
        return n_left_out

    def name_patients(self) -> None:
        """Name the patients anew, after facts were added to `people`."""
        names = self.people.patient_names({r.record_id: r.patient_id for r in self.records})
        self.records = [r._replace(patient_id=names[r.record_id]) for r in self.records]

    def by_patient(self) -> dict[str, list[CorpusRecord]]:
        """The records of each patient; patients and records in the order of their ids."""
        patients: dict[str, list[CorpusRecord]] = {}
        for record in self.records:
            patients.setdefault(record.patient_id, []).append(record)
        return dict(sorted(patients.items()))

    def sources(self, names: Sequence[str] | None, option: str) -> set[str]:
        """The corpora that an option names; all where it is not given.

        Raises:
            ManifestError: where no record is of one of them.
        """
        present = {record.source for record in self.records}
        wanted = {name for text in names or () for name in text.split(",") if name} or present
        if wanted - present:
            raise ManifestError(
                f"{option}: no records of {', '.join(sorted(wanted - present))} are left; "
                f"there are records of {', '.join(sorted(present))}"
            )
        return wanted

    def listing(self) -> SegmentList:
        """An empty list of segments."""
        return SegmentList(self.segment_samples)
