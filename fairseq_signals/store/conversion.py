"""From a record's files to its row in the store: reading, resampling, and what is noted on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fairseq_signals.ecg.amplitude import odd_amplitude
from fairseq_signals.ecg.record import DEFAULT_FS, Record, parse_patient
from fairseq_signals.ecg.resample import POLYPHASE, resample_record
from fairseq_signals.errors import (
    NOT_A_FILE,
    TRIED_AGAIN,
    MissingLibraryError,
    SignalError,
    StoreError,
    signal_error,
    without_record,
)
from fairseq_signals.formats.detect import HEADER, SUFFIXES_OF, is_dicom
from fairseq_signals.formats.folder import WITHOUT_HEADER, FoundRecord, iter_records
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.formats.registry import load_reader, read_with
from fairseq_signals.safety.text import visible
from fairseq_signals.store.codecs import INT16
from fairseq_signals.store.resampled import RESAMPLED_FROM
from fairseq_signals.store.shards import AMPLITUDE_FACTOR, KEPT, LeadFault, Rejection, ShardNotes, StoreRow

RECORDS_PER_SHARD = 500
CHECKSUMS = ("check", "ignore")
ODD_AMPLITUDE = "of an amplitude that no ECG has: "
REJECTED = "rejected "  #: prefix of the counts of rejections by kind


@dataclass(frozen=True)
class Item:
    """A record to be stored, and what is known of it besides its files.

    Attributes:
        source: name of the corpus.
        record_id: unique within the source.
        path: the header, or the file that holds the record.
        digest: of the header, so that changed input is noticed.
        rejected: the reason why it must not be read, or None.
        rejected_kind: that reason as a key of `fairseq_signals.errors.REASONS`.
        patient_id, age, sex, codes, report: go before what the header says; None where nothing is known.
        attributes: likewise; further columns of the corpus' own table, as (name, text).
        reader: what reads it, see `fairseq_signals.formats.registry`.
        index: row in a file that holds many records; None where the file is one record.
    """

    source: str
    record_id: str
    path: str
    digest: str = ""
    rejected: str | None = None
    rejected_kind: str = ""
    patient_id: str | None = None
    age: float | None = None
    sex: str | None = None
    codes: tuple[str, ...] | None = None
    report: str | None = None
    attributes: tuple[tuple[str, str], ...] | None = None
    reader: str = "wfdb"
    index: int | None = None

    @property
    def key(self) -> str:
        return f"{self.source}/{self.record_id}"


@dataclass(frozen=True)
class BuildOptions:
    """What a record must be and becomes.

    Attributes:
        fs: sampling rate of the store in Hz; records at other rates are resampled.
        min_seconds: shorter records are rejected.
        records_per_shard: records (kept or not) that share a shard.
        codec: how signals are stored, see `fairseq_signals.store.codecs`.
        checksums: whether a record whose samples disagree with the checksums in its header is rejected
            ("check") or kept and counted ("ignore").
        reading: how files are read.
        resampler: how records at other rates are resampled, see `fairseq_signals.ecg.resample`.
    """

    fs: float = DEFAULT_FS
    min_seconds: float = 5.0
    records_per_shard: int = RECORDS_PER_SHARD
    codec: str = INT16
    checksums: str = "check"
    reading: ReadOptions = DEFAULTS
    resampler: str = POLYPHASE


def iter_folder(
    root: Path,
    source: str,
    patient_from_folder: bool = False,
    reader: str = "wfdb",
    suffixes: Sequence[str] | None = None,
) -> Iterator[Item]:
    """Every record below a folder, and as a rejected one what is no whole record.

    Args:
        root: the folder; a record's id is its path below it.
        source: name of the corpus.
        patient_from_folder: whether the folder a record lies in names its patient.
        reader: what reads them, see `fairseq_signals.formats.registry`.
        suffixes: of the records' files; those of the reader by default.

    Raises:
        StoreError: there is no such folder or reader, or no record in it.
        MissingLibraryError: the library that the reader needs is not installed.
    """
    load_reader(reader)
    if not root.is_dir():
        raise StoreError(f"{root}: there is no such folder")
    n_records, odd, suffixes = 0, "", suffixes or SUFFIXES_OF[reader]
    for found in iter_records(root, suffixes, is_dicom if reader == "dicom" else None):
        item = item_of(found, source, reader)
        why = found.rejected if found.rejected_kind == WITHOUT_HEADER else found.unread
        odd = odd or ("" if why is None else f"; {why}")
        if found.rejected_kind not in (WITHOUT_HEADER, NOT_A_FILE):
            n_records += found.path != root
            if patient_from_folder:
                item = replace(item, patient_id=parse_patient(PurePosixPath(found.record_id).parent.name))
        yield item
    if not n_records:
        what = "WFDB record (.hea)" if HEADER in suffixes else f"{' or '.join(suffixes)} file"
        raise StoreError(f"{root}: there is no {what} in this folder or below it{odd}")


def item_of(found: FoundRecord, source: str, reader: str = "wfdb") -> Item:
    """The item of a record that a folder holds."""
    what = (found.digest, found.rejected, found.rejected_kind)
    return Item(source, found.record_id, str(found.path), *what, reader=reader)


def make_row(item: Item, options: BuildOptions, notes: ShardNotes, scratch: Path | None = None) -> StoreRow:
    """The row of one record; faults of its leads are added to `notes`.

    Args:
        scratch: folder for a long record on its way; by default that of temporary files.

    Raises:
        SignalError: the record cannot be used.
    """
    if item.rejected is not None:
        raise SignalError(item.rejected, item.rejected_kind)
    record = read_with(item.reader, Path(item.path), item.record_id, item.index, options.reading)
    if record.duration_s < options.min_seconds:
        raise SignalError(
            f"record {item.record_id}: it lasts {record.duration_s:.4g} s, less than the "
            f"{options.min_seconds:g} s asked for. Lower --min-seconds to keep it.",
            kind="too short",
        )
    if record.damaged and options.checksums == "check":
        (lead, what), n_more = record.damaged[0], len(record.damaged) - 1
        more = f"; and {n_more} more" if n_more else ""
        raise SignalError(
            f"record {item.record_id}: lead {lead}: {what}{more}. The signal "
            f"file is damaged, or not the header's. Download both again, or pass --checksums ignore.",
            kind="with a wrong checksum",
        )
    stored = resample_record(record, options.fs, scratch, options.resampler)
    _note(record, stored, item, notes)
    subject = record.subject
    patient_id = subject.patient_id if item.patient_id is None else item.patient_id
    return StoreRow(
        record_id=item.record_id,
        source=item.source,
        fs=stored.fs,
        leads=stored.leads,
        scale=stored.scale,
        signal=stored.signal,
        offset=stored.offset,
        patient_id=None if patient_id is None else visible(patient_id),
        age=subject.age if item.age is None else item.age,
        sex=subject.sex if item.sex is None else item.sex,
        codes=subject.codes if item.codes is None else item.codes,
        report=record.report if item.report is None else item.report,
        attributes=_attributes(record, item),
    )


def _attributes(record: Record, item: Item) -> tuple[tuple[str, str], ...] | None:
    """What else is known of a record, and the factor of its amplitude where that is not 1."""
    known = record.subject.other if item.attributes is None else item.attributes
    factor = record.amplitude_factor
    return (*known, *(((AMPLITUDE_FACTOR, f"{factor:g}"),) if factor != 1 else ())) or None


def _note(record: Record, stored: Record, item: Item, notes: ShardNotes) -> None:
    for lead, reason in record.faults:
        notes.faults.append(LeadFault(item.key, lead, reason))
        notes.counts["lead(s) marked absent"] += 1
    for lead, reason in record.ignored:
        notes.faults.append(LeadFault(item.key, lead, reason))
        notes.counts["other channel(s) ignored"] += 1
    if record.derived:
        notes.counts["with limb leads computed from I and II"] += 1
    if record.damaged:
        notes.counts["kept with a wrong checksum"] += 1
    odd = odd_amplitude(record.signal, record.scale[:, None], record.leads)
    if odd is not None:
        notes.faults.append(LeadFault(item.key, ", ".join(odd.leads) or "all leads", f"{KEPT}{odd}"))
        notes.counts[f"{ODD_AMPLITUDE}{item.source}, {odd.advice()}"] += 1
    if record.amplitude_factor != 1:
        notes.counts[f"with samples multiplied by {record.amplitude_factor:g}"] += 1
    if stored is not record:
        notes.counts[f"{RESAMPLED_FROM}{record.fs:g} Hz"] += 1
    elif record.requantised:
        notes.counts["re-quantised (their values do not fit 16 bits)"] += 1


def make_rows(
    items: Sequence[Item], options: BuildOptions, notes: ShardNotes, scratch: Path | None = None
) -> Iterator[StoreRow]:
    """The rows of all records that can be used; the others are added to `notes`."""
    for item in items:
        try:
            yield make_row(item, options, notes, scratch)
        except MissingLibraryError:
            raise  # every record of that format would fail
        except Exception as e:  # nothing in one file may end a run over many; it is reported like the rest
            error = signal_error(e, item.record_id)
            _reject(item, without_record(error, item.record_id), error.kind, notes)


def n_tried_again(counts: Mapping[str, int]) -> int:
    """How many of the rejected records may be there the next time."""
    return sum(counts.get(REJECTED + kind, 0) for kind in TRIED_AGAIN)


def _reject(item: Item, reason: str, kind: str, notes: ShardNotes) -> None:
    notes.rejected.append(Rejection(item.key, reason, kind))
    notes.counts[REJECTED + kind] += 1
