"""Build a record store: chunks of records, one shard each, made by a pool of processes.

Shards depend on the sorted list of records and the options alone, not on the number of workers or the order
of directories. A shard that is there is finished: a run that was killed goes on with those that are missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from fairseq_signals.data.store import (
    CODEC,
    SCHEMA_VERSION,
    SHARD_PATTERN,
    STATE_FILE,
    LeadFault,
    Rejection,
    ShardNotes,
    StoreRow,
    read_notes,
    shard_name,
    write_atomic,
    write_shard,
)
from fairseq_signals.ecg.record import Record, read_record
from fairseq_signals.ecg.resample import resample_record
from fairseq_signals.errors import SignalError, StoreError

REJECTED_FILE = "rejected.tsv"
FAULTS_FILE = "lead_faults.tsv"
RECORDS_PER_SHARD = 500


@dataclass(frozen=True)
class Item:
    """A record to be stored, and what is known of it besides its files.

    Attributes:
        source: name of the corpus.
        record_id: unique within the source.
        path: the header file.
        digest: of the header, so that changed input is noticed.
        rejected: the reason why it must not be read, or None.
        rejected_kind: that reason in a few words.
        patient_id, age, sex, codes, report: go before what the header says; None where nothing is known.
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
    """

    fs: float = 500.0
    min_seconds: float = 5.0
    records_per_shard: int = RECORDS_PER_SHARD


@dataclass
class BuildSummary:
    """What became of the records."""

    n_items: int = 0
    n_kept: int = 0
    notes: ShardNotes = field(default_factory=ShardNotes)

    def __str__(self) -> str:
        counts = self.notes.counts
        rejected = [
            f"{n:,} {key[len(_REJECTED) :]}" for key, n in sorted(counts.items()) if key.startswith(_REJECTED)
        ]
        parts = [f"kept {self.n_kept:,} of {self.n_items:,} records"]
        parts.append("rejected " + ", ".join(rejected) if rejected else "none rejected")
        parts += [f"{n:,} {key}" for key, n in sorted(counts.items()) if not key.startswith(_REJECTED)]
        return "; ".join(parts)


_REJECTED = "rejected "  # prefix of the counts of rejections by kind


# --- one record ------------------------------------------------------------------------------------------


def make_row(item: Item, options: BuildOptions, notes: ShardNotes) -> StoreRow:
    """The row of one record; faults of its leads are added to `notes`.

    Raises:
        SignalError: the record cannot be used.
    """
    if item.rejected is not None:
        raise SignalError(item.rejected, item.rejected_kind)
    record = read_record(Path(item.path), item.record_id)
    if record.duration_s < options.min_seconds:
        raise SignalError(
            f"record {item.record_id}: it lasts {record.duration_s:.4g} s, less than the "
            f"{options.min_seconds:g} s asked for. Lower --min-seconds to keep it.",
            kind=f"shorter than {options.min_seconds:g} s",
        )
    stored = resample_record(record, options.fs)
    _note(record, stored, item, notes)
    subject = record.subject
    return StoreRow(
        record_id=item.record_id,
        source=item.source,
        fs=stored.fs,
        leads=stored.leads,
        scale=stored.scale,
        signal=stored.signal,
        patient_id=subject.patient_id if item.patient_id is None else item.patient_id,
        age=subject.age if item.age is None else item.age,
        sex=subject.sex if item.sex is None else item.sex,
        codes=subject.codes if item.codes is None else item.codes,
        report=item.report,
    )


def _note(record: Record, stored: Record, item: Item, notes: ShardNotes) -> None:
    for lead, reason in record.faults:
        notes.faults.append(LeadFault(item.key, lead, reason))
        notes.count("leads marked absent")
    for lead, reason in record.ignored:
        notes.faults.append(LeadFault(item.key, lead, reason))
        notes.count("other channels ignored")
    if stored is not record:
        notes.count(f"resampled from {record.fs:g} Hz")
    elif record.requantised:
        notes.count("re-quantised (their values do not fit 16 bits)")


def _rows(items: Sequence[Item], options: BuildOptions, notes: ShardNotes) -> Iterator[StoreRow]:
    for item in items:
        try:
            yield make_row(item, options, notes)
        except SignalError as e:
            reason = (
                str(e).removeprefix(f"record {item.record_id}: ") if sys.version_info >= (3, 9) else str(e)
            )
            notes.rejected.append(Rejection(item.key, reason))
            notes.count(_REJECTED + e.kind)


def _build_shard(path: Path, items: Sequence[Item], options: BuildOptions) -> int:
    """Make one shard (in a worker); the number of items, for the progress bar."""
    notes = ShardNotes()
    try:
        write_shard(path, _rows(items, options, notes), notes)
    except OSError as e:
        raise StoreError(
            f"{path}: cannot be written ({e.strerror}). Make room and run the same command again."
        ) from e
    return len(items)


# --- the store -------------------------------------------------------------------------------------------


def build_store(
    items: Sequence[Item],
    dest: Path,
    options: BuildOptions | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> BuildSummary:
    """Store records in `dest`, or finish a store that a killed run of the same records left unfinished.

    Args:
        items: the records, in any order.
        dest: the folder of the store; made where it does not exist.
        options: sampling rate, shortest record, shard size.
        workers: processes; None for as many as there are CPUs. It does not change the result.
        overwrite: begin anew where `dest` holds another store.
        progress: show a progress bar.

    Raises:
        StoreError: no records, `dest` was built from other records or options, or nothing could be kept.
    """
    options = BuildOptions() if options is None else options
    dest = Path(dest)
    items = sorted(items, key=lambda item: (item.source, item.record_id))
    if not items:
        raise StoreError("there is no record to store")
    chunks = [
        items[i : i + options.records_per_shard] for i in range(0, len(items), options.records_per_shard)
    ]
    dest.mkdir(parents=True, exist_ok=True)
    with _exclusive(dest):
        state = _open_state(dest, items, options, len(chunks), overwrite)
        missing = [i for i in range(len(chunks)) if not (dest / shard_name(i)).is_file()]
        n_done = sum(len(chunk) for chunk in chunks) - sum(len(chunks[i]) for i in missing)
        if n_done and missing:
            print(f"{dest}: going on after {n_done:,} of {len(items):,} records", file=sys.stderr)
        with tqdm(total=len(items), initial=n_done, unit="record", disable=not progress) as bar:
            tasks = [(dest / shard_name(i), chunks[i]) for i in missing]
            for n in _run(tasks, options, min(workers or os.cpu_count() or 1, len(tasks))):
                bar.update(n)
        summary = _finish(dest, state, len(items), len(chunks))
    if summary.n_kept == 0:
        raise StoreError(f"none of {len(items):,} records could be kept: see {dest / REJECTED_FILE}")
    return summary


def _run(tasks: list[tuple[Path, list[Item]]], options: BuildOptions, workers: int) -> Iterator[int]:
    if workers <= 1:
        for path, items in tasks:
            yield _build_shard(path, items, options)
        return
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(_build_shard, path, items, options) for path, items in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as e:
            raise StoreError(
                "a worker process was killed, perhaps for want of memory. Run the same command again with "
                "fewer --workers: it goes on where it stopped."
            ) from e
        finally:
            for future in futures:
                future.cancel()


def _end_with_parent() -> None:
    """In a worker: end at once when the main process is gone, so that nothing is written behind its back."""
    import multiprocessing
    import threading
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _finish(dest: Path, state: dict, n_items: int, n_shards: int) -> BuildSummary:
    """Write the tables of rejections and faults from what the shards tell, and mark the store complete."""
    summary = BuildSummary(n_items)
    for i in range(n_shards):
        n_rows, notes = read_notes(dest / shard_name(i))
        summary.n_kept += n_rows
        summary.notes.add(notes)
    write_atomic(dest / REJECTED_FILE, _table(("record", "reason"), summary.notes.rejected))
    write_atomic(dest / FAULTS_FILE, _table(("record", "lead", "reason"), summary.notes.faults))
    _write_state(dest, {**state, "complete": True, "kept": summary.n_kept, "counts": summary.notes.counts})
    return summary


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    lines = ["\t".join(" ".join(str(cell).split()) for cell in row) for row in [columns, *rows]]
    return ("\n".join(lines) + "\n").encode()


# --- what a store was begun with -------------------------------------------------------------------------


def _open_state(
    dest: Path, items: Sequence[Item], options: BuildOptions, n_shards: int, overwrite: bool
) -> dict:
    """The contents of store.json: of the store that is there if it fits, else of a new one."""
    for stale in dest.glob(".*.tmp"):
        stale.unlink()
    plan = {
        "schema": SCHEMA_VERSION,
        "codec": CODEC,
        **asdict(options),
        "records": len(items),
        "shards": n_shards,
        "fingerprint": _fingerprint(items),
    }
    path = dest / STATE_FILE
    if path.is_file() and not overwrite:
        found = json.loads(path.read_text())
        changed = [
            f"{key} {found.get(key)} then, {plan[key]} now" for key in plan if found.get(key) != plan[key]
        ]
        if changed:
            raise StoreError(
                f"{dest}: this store was begun from other records or options ({'; '.join(changed)}). "
                f"Pass --overwrite to build it anew, or choose another --dest."
            )
        return plan
    shards = list(dest.glob(SHARD_PATTERN))
    if shards and not overwrite:
        raise StoreError(
            f"{dest}: there are shards but no {STATE_FILE}. Pass --overwrite to build it anew, or choose "
            f"another --dest."
        )
    for old in [path, *shards, dest / REJECTED_FILE, dest / FAULTS_FILE]:
        old.unlink(missing_ok=True)
    _write_state(dest, {**plan, "complete": False})
    return plan


def _write_state(dest: Path, state: dict) -> None:
    write_atomic(dest / STATE_FILE, (json.dumps(state, indent=1, sort_keys=True) + "\n").encode())


def _fingerprint(items: Sequence[Item]) -> str:
    """A digest of the records, their headers and what else is known of them, but not of where they lie."""
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        digest.update(repr({**asdict(item), "path": Path(item.path).name}).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _exclusive(dest: Path) -> Iterator[None]:
    """Keep other processes from building the same store meanwhile; released when the process ends."""
    descriptor = os.open(dest, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"{dest}: another process is building this store. Wait for it, or end it.") from None
    finally:
        os.close(descriptor)
