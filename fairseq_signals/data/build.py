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

from fairseq_signals.data.rows import REJECTED, BuildOptions, Item, make_rows
from fairseq_signals.data.shards import (
    CODEC,
    SCHEMA_VERSION,
    SHARD_PATTERN,
    ShardNotes,
    read_notes,
    shard_name,
    write_atomic,
    write_shard,
)
from fairseq_signals.data.store import STATE_FILE
from fairseq_signals.errors import StoreError

REJECTED_FILE = "rejected.tsv"
FAULTS_FILE = "lead_faults.tsv"


@dataclass
class BuildSummary:
    """What became of the records."""

    n_items: int = 0
    n_kept: int = 0
    notes: ShardNotes = field(default_factory=ShardNotes)

    def __str__(self) -> str:
        counts = sorted(self.notes.counts.items(), key=lambda item: (-item[1], item[0]))
        rejected = [f"{n:,} {key[len(REJECTED) :]}" for key, n in counts if key.startswith(REJECTED)]
        parts = [f"kept {self.n_kept:,} of {self.n_items:,} records"]
        if rejected:
            parts.append("rejected " + ", ".join(rejected))
        parts += [f"{n:,} {key}" for key, n in counts if not key.startswith(REJECTED)]
        return "; ".join(parts)


def _build_shard(path: Path, items: Sequence[Item], options: BuildOptions) -> int:
    """Make one shard (in a worker); the number of items, for the progress bar."""
    notes = ShardNotes()
    try:
        write_shard(path, make_rows(items, options, notes), notes)
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
    dest = Path(os.path.abspath(dest))
    items = sorted(items, key=lambda item: (item.source, item.record_id, item.rejected or ""))
    if not items:
        raise StoreError("there is no record to store")
    _check_unique(items)
    chunks = [
        items[i : i + options.records_per_shard] for i in range(0, len(items), options.records_per_shard)
    ]
    try:
        dest.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StoreError(f"{dest}: this folder cannot be made ({e.strerror})") from e
    with _exclusive(dest):
        state = _open_state(dest, items, options, len(chunks), overwrite)
        missing = [i for i in range(len(chunks)) if not (dest / shard_name(i)).is_file()]
        n_done = len(items) - sum(len(chunks[i]) for i in missing)
        if missing:
            _write_state(dest, {**state, "complete": False})
        if n_done:
            what = f"going on after {n_done:,} of" if missing else "already there, all"
            print(f"{dest}: {what} {len(items):,} records", file=sys.stderr)
        with tqdm(total=len(items), initial=n_done, unit="record", disable=not progress) as bar:
            tasks = [(dest / shard_name(i), chunks[i]) for i in missing]
            for n in _run(tasks, options, min(workers or os.cpu_count() or 1, len(tasks))):
                bar.update(n)
        summary = _finish(dest, state, len(items), len(chunks))
    if summary.n_kept == 0:
        raise StoreError(f"none of {len(items):,} records could be kept: see {dest / REJECTED_FILE}")
    return summary


def _check_unique(items: Sequence[Item]) -> None:
    for first, second in zip(items, items[1:]):
        if first.key == second.key and first.rejected is None and second.rejected is None:
            raise StoreError(f"{first.path} and {second.path} would both be record {first.key}")


def _run(tasks: list[tuple[Path, list[Item]]], options: BuildOptions, workers: int) -> Iterator[int]:
    if workers <= 1:
        for path, items in tasks:
            yield _build_shard(path, items, options)
        return
    import multiprocessing

    # A clean server process forks the workers: quick, and safe whatever threads this process has.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
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
    _remove_temporaries(dest)
    _write_state(dest, {**state, "complete": True, "kept": summary.n_kept, "counts": summary.notes.counts})
    return summary


def _remove_temporaries(dest: Path) -> None:
    """Delete what killed processes left: only one process at a time builds this store."""
    for name in (SHARD_PATTERN, STATE_FILE, REJECTED_FILE, FAULTS_FILE):
        for stale in dest.glob(f".{name}.*.tmp"):
            stale.unlink(missing_ok=True)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    lines = ["\t".join(" ".join(str(cell).split()) for cell in row) for row in [columns, *rows]]
    return ("\n".join(lines) + "\n").encode()


# --- what a store was begun with -------------------------------------------------------------------------


def _open_state(
    dest: Path, items: Sequence[Item], options: BuildOptions, n_shards: int, overwrite: bool
) -> dict:
    """The contents of store.json: of the store that is there if it fits, else of a new one."""
    _remove_temporaries(dest)
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
            "the records, their headers, files or table have changed"
            if key == "fingerprint"
            else f"{key} was {found.get(key)} and is now {plan[key]}"
            for key in plan
            if found.get(key) != plan[key]
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
    return plan


def _write_state(dest: Path, state: dict) -> None:
    write_atomic(dest / STATE_FILE, (json.dumps(state, indent=1, sort_keys=True) + "\n").encode())


def _fingerprint(items: Sequence[Item]) -> str:
    """A digest of the records, their headers and what else is known of them, but not of where they lie."""
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        digest.update(repr({**vars(item), "path": os.path.basename(item.path)}).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _exclusive(dest: Path) -> Iterator[None]:
    """Keep other processes from building the same store meanwhile; released when the process ends."""
    descriptor = os.open(dest, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{dest}: another process is building this store. Wait for it, or end it."
            ) from None
        yield
    finally:
        os.close(descriptor)
