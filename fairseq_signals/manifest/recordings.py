"""The recordings that manifests are made of, and lists of their segments."""

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
    """The segments of some recordings as rows of a manifest; made anew whenever they are gone through.

    Args:
        segment_samples: length of a segment.
    """

    def __init__(self, segment_samples: int):
        self.segment_samples = segment_samples
        self.entries: list[tuple[CorpusRecord, Sequence[int], str]] = []
        self._all: dict[int, range] = {}  # segments by length of the recording; most have the same

    def add(self, recording: CorpusRecord, target: str = "", segments: Sequence[int] | None = None) -> None:
        """List segments of a recording; by default all whole ones from its start."""
        if segments is None:
            n = recording.n_samples // self.segment_samples
            segments = self._all.setdefault(n, range(n))
        self.entries.append((recording, segments, target))

    def __iter__(self) -> Iterator[Row]:
        n = self.segment_samples
        for recording, segments, target in self.entries:
            place = f"{recording.shard}#{recording.row}:"
            for k in segments:
                yield Row(f"{place}{k * n}", n, recording.record_id, recording.patient_id, k, target)

    def records(self) -> set[str]:
        """The records that are listed."""
        return {recording.record_id for recording, _, _ in self.entries}

    def counts(self) -> dict[str, int]:
        """How many segments, records and patients are listed."""
        return {
            "segments": sum(len(segments) for _, segments, _ in self.entries),
            "records": len(self.records()),
            "patients": len({recording.patient_id for recording, _, _ in self.entries}),
        }


@dataclass
class Corpus:
    """The records that a script works on.

    Args:
        root: the folder that shards are relative to.
        stores: the stores' folders.
        recordings: in the order of their record ids.
        people: who is who, from all records of the stores (also those left out).
        fs: sampling rate of all recordings, Hz.
        segment_samples: length of a segment.
        n_read: records in the stores.
        left_out: how many of them are not in `recordings`, by reason.
        notes: lines for the summary.
        attributes: by name what was asked for, by record id; records without it are not there.
    """

    root: Path
    stores: list[Path]
    recordings: list[CorpusRecord]
    people: People
    fs: float
    segment_samples: int
    n_read: int
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)

    def leave_out(self, drop: Callable[[CorpusRecord], bool], reason: str) -> int:
        """Remove the recordings for which `drop` is true, and count them by reason; gives their number."""
        kept = [recording for recording in self.recordings if not drop(recording)]
        n_left_out = len(self.recordings) - len(kept)
        if n_left_out:
            self.left_out[reason] += n_left_out
        self.recordings = kept
        return n_left_out

    def name_patients(self) -> None:
        """Name the patients anew, after facts were added to `people`."""
        names = self.people.patient_names({r.record_id: r.patient_id for r in self.recordings})
        self.recordings = [r._replace(patient_id=names[r.record_id]) for r in self.recordings]

    def by_patient(self) -> dict[str, list[CorpusRecord]]:
        """The recordings of each patient; patients and recordings in the order of their ids."""
        patients: dict[str, list[CorpusRecord]] = {}
        for recording in self.recordings:
            patients.setdefault(recording.patient_id, []).append(recording)
        return dict(sorted(patients.items()))

    def sources(self, names: Sequence[str] | None, option: str) -> set[str]:
        """The corpora that an option names; all where it is not given.

        Raises:
            ManifestError: where no recording is of one of them.
        """
        present = {recording.source for recording in self.recordings}
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
