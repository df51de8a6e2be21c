"""Build a record store: chunks of records, one shard each, made by a pool of processes.

Shards depend on the sorted list of records and the options alone, not on the number of workers or the order
of directories. A shard that is there is finished: a run that was killed goes on with those that are missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from fairseq_signals.ecg.resample import check_resampler
from fairseq_signals.errors import NEXT_LINE, Rejections, StoreError
from fairseq_signals.files import remove_left_overs, temporary_path
from fairseq_signals.safety.locks import one_process
from fairseq_signals.safety.text import tsv_line
from fairseq_signals.store.codecs import check_codec
from fairseq_signals.store.conversion import REJECTED, BuildOptions, Item, make_rows, n_tried_again
from fairseq_signals.store.pool import open_pool
from fairseq_signals.store.reading import FAULTS_FILE, STATE_FILE, UNAVAILABLE_KEY, read_state
from fairseq_signals.store.shards import (
    SCHEMA_VERSION,
    SHARD_PATTERN,
    ShardNotes,
    StoreRow,
    read_notes,
    shard_name,
    write_atomic,
    write_shard,
)
from fairseq_signals.store.sorting import RUN_IS_GONE, Chunk, Spool, write_spool

REJECTED_FILE = "rejected.tsv"
_CHUNKS = "chunks"  # in the state of a store that lacks records: digests of what each shard was made of
_SPOOL = "records"  # of a run that is going on, under a temporary name


@dataclass
class BuildSummary:
    """What became of the records.

    Attributes:
        n_items: records in all.
        n_kept: how many are in the store.
        counts: rejections by kind (their names begin with `REJECTED`) and what else was counted.
        rejections: the same rejections, with a few of the records and reasons.
    """

    n_items: int = 0
    n_kept: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    rejections: Rejections = field(default_factory=Rejections)

    @property
    def n_unavailable(self) -> int:
        """How many records the same command tries again."""
        return n_tried_again(self.counts)

    def __str__(self) -> str:
        counts = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        rejected = [f"{n:,} {key[len(REJECTED) :]}" for key, n in counts if key.startswith(REJECTED)]
        parts = [f"kept {self.n_kept:,} of {self.n_items:,} records"]
        if rejected:
            parts.append("rejected " + ", ".join(rejected))
        others = [(n, key) for key, n in counts if not key.startswith(REJECTED)]
        parts += [f"{n:,} {key.replace('(s)', '' if n == 1 else 's')}" for n, key in others]
        return "; ".join(parts)


def _build_shard(path: Path, chunk: Chunk, options: BuildOptions) -> int:
    """Make one shard (in a worker); the number of records, for the progress bar."""
    notes = ShardNotes()

    def rows() -> Iterator[StoreRow]:
        yield from make_rows(chunk.items(), options, notes, path.parent)
        if not chunk.is_there():  # the shard would end up in the store of a later run
            raise StoreError(f"{path}: {RUN_IS_GONE}")

    try:
        write_shard(path, rows(), notes, options.codec)
    except MemoryError as e:
        raise StoreError(f"{path}: there is not enough memory. Take fewer --workers, and go on.") from e
    return chunk.n_items


# --- the store -------------------------------------------------------------------------------------------


def build_store(
    items: Iterable[Item],
    dest: Path,
    options: BuildOptions | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
    scheduler: str | None = None,
) -> BuildSummary:
    """Store records in `dest`, or finish a store that a killed run of the same records left unfinished.

    A store is not complete either where records were not available: their shards are made again.

    Args:
        items: the records, in any order; read once, and memory does not grow with their number.
        dest: the folder of the store; made where it does not exist.
        options: sampling rate, shortest record, shard size, codec.
        workers: processes; None for as many as there are CPUs. It does not change the result.
        overwrite: begin anew where `dest` holds another store.
        progress: show a progress bar.
        scheduler: address of a Dask scheduler whose workers, which must see the same files, make the shards.

    Raises:
        StoreError: no records, `dest` was built from other records or options, or nothing could be kept.
    """
    options = BuildOptions() if options is None else options
    check_codec(options.codec)
    check_resampler(options.resampler)
    dest = Path(os.path.abspath(dest))
    listed = iter(items)
    first = next(listed, None)
    if first is None:
        raise StoreError("there is no record to store")
    busy = StoreError(f"{dest}: another process is building this store. Wait for it, or end it.")
    with one_process(dest, busy), _spooled(chain([first], listed), dest, options, progress) as spool:
        state = _open_state(dest, spool, options, overwrite)
        missing = [i for i in range(len(spool.chunks)) if not (dest / shard_name(i)).is_file()]
        n_done = spool.n_items - sum(spool.chunks[i].n_items for i in missing)
        if missing:
            _write_state(dest, {**state, "complete": False})
        if n_done:
            what = f"going on after {n_done:,} of" if missing else "already there, all"
            print(f"{dest}: {what} {spool.n_items:,} records", file=sys.stderr)
        if missing:
            calls = ((dest / shard_name(i), spool.chunks[i], options) for i in missing)
            processes = min(workers or os.cpu_count() or 1, len(missing))
            bar = tqdm(total=spool.n_items, initial=n_done, unit="record", disable=not progress)
            with bar, open_pool(processes, scheduler) as pool:
                for n in pool.run(_build_shard, calls):
                    bar.update(n)
        summary = _finish(dest, state, spool)
    if summary.n_kept == 0:
        raise StoreError(
            f"none of {summary.n_items:,} records could be kept: "
            f"{'; '.join(str(summary.rejections).split(NEXT_LINE))}; the reason of each is in "
            f"{dest / REJECTED_FILE}"
        )
    return summary


@contextlib.contextmanager
def _spooled(items: Iterable[Item], dest: Path, options: BuildOptions, progress: bool) -> Iterator[Spool]:
    """The records in order, in a file beside the shards while the store is being built."""
    remove_left_overs(dest)
    path = temporary_path(dest / _SPOOL)
    try:
        with tqdm(items, desc="listing", unit="record", leave=False, disable=not progress) as listed:
            spool = write_spool(listed, path, options.records_per_shard)
        yield spool
    finally:
        path.unlink(missing_ok=True)
        remove_left_overs(dest)  # of processes that a killed run left, and that have ended meanwhile


def _finish(dest: Path, state: dict, spool: Spool) -> BuildSummary:
    """Write the tables of rejections and faults from what the shards tell, and mark the store complete."""
    summary = BuildSummary(spool.n_items)
    shards = [dest / shard_name(i) for i in range(len(spool.chunks))]
    for path in shards:
        n_rows, notes = read_notes(path)
        summary.n_kept += n_rows
        summary.counts += notes.counts

    def rejected() -> Iterator[Iterable[str]]:
        for path in shards:
            for record, reason, kind in read_notes(path)[1].rejected:
                summary.rejections.add(record, reason, kind)
                yield record, kind, reason

    _write(dest / REJECTED_FILE, _table(("record", "kind", "reason"), rejected()))
    faults = (fault for path in shards for fault in read_notes(path)[1].faults)
    _write(dest / FAULTS_FILE, _table(("record", "lead", "reason"), faults))
    lost = summary.n_unavailable
    chunks = {UNAVAILABLE_KEY: lost, _CHUNKS: [chunk.digest for chunk in spool.chunks]} if lost else {}
    told = {"complete": not lost, "kept": summary.n_kept, "counts": summary.counts, **chunks}
    _write_state(dest, {**state, **told})
    return summary


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[bytes]:
    """The lines of a TSV file."""
    return (tsv_line(row).encode() for row in chain([columns], rows))


# --- what a store was begun with -------------------------------------------------------------------------


def _open_state(dest: Path, spool: Spool, options: BuildOptions, overwrite: bool) -> dict:
    """The contents of store.json: of the store that is there if it fits, else of a new one."""
    told = asdict(options)
    reading = told.pop("reading")
    plan = {
        "schema": SCHEMA_VERSION,
        **told,
        **{f"input_{key}" if key in told else key: value for key, value in reading.items()},
        "records": spool.n_items,
        "shards": len(spool.chunks),
        "fingerprint": spool.fingerprint,
    }
    plan = json.loads(json.dumps(plan))  # as the file has it
    path = dest / STATE_FILE
    found = read_state(path) if path.is_file() else None
    if found is not None and not overwrite:
        if found.get("schema", SCHEMA_VERSION) != SCHEMA_VERSION:
            raise StoreError(
                f"{dest}: an earlier version of this package made this store (schema {found.get('schema')}, "
                f"now {SCHEMA_VERSION}). It can be read as it is; to go on with it, pass --overwrite, which "
                f"builds it anew, or choose another --dest."
            )
        # Records that were not available may have come back, but none has gone.
        may_grow = _CHUNKS in found and spool.n_items >= found.get("records", 0)
        of_records = ("fingerprint", "records", "shards") if may_grow else ()
        changed = [
            "the records, their headers, files or table have changed"
            if key == "fingerprint"
            else f"{key} was {found.get(key)} and is now {plan[key]}"
            for key in plan
            if found.get(key) != plan[key] and key not in of_records
        ]
        if changed:
            raise StoreError(
                f"{dest}: this store was begun from other records or options ({'; '.join(changed)}). "
                f"Pass --overwrite to build it anew, or choose another --dest."
            )
        if not found.get("complete"):
            _remove_stale(dest, spool, found.get(_CHUNKS))
        return plan
    shards = list(dest.glob(SHARD_PATTERN))
    if shards and not overwrite:
        raise StoreError(
            f"{dest}: there are shards but no {STATE_FILE}. Pass --overwrite to build it anew, or choose "
            f"another --dest."
        )
    if found is not None or shards:
        _write_state(dest, {"complete": False})  # so that nobody takes what a kill leaves for a store
    for old in [*shards, dest / REJECTED_FILE, dest / FAULTS_FILE]:
        old.unlink(missing_ok=True)
    return plan


def _remove_stale(dest: Path, spool: Spool, digests: list[str] | None) -> None:
    """Remove the shards that lack records which may be there by now, and those of other records than now.

    Args:
        digests: of the records of each shard when they were made; None: they are the same.
    """
    current = [chunk.digest for chunk in spool.chunks]
    before = current if digests is None else digests
    for i, path in ((i, dest / shard_name(i)) for i in range(max(len(before), len(current)))):
        is_same = before[i : i + 1] == current[i : i + 1]
        if path.is_file() and not (is_same and not n_tried_again(read_notes(path)[1].counts)):
            path.unlink()


def _write_state(dest: Path, state: dict) -> None:
    _write(dest / STATE_FILE, [(json.dumps(state, indent=1, sort_keys=True) + "\n").encode()])


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with write_atomic(path) as f:
        f.writelines(lines)
