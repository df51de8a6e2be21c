"""The rows of a result that is being computed, in files beside it, so that a stopped run can go on.

They are in numbered Parquet files in the folder `.NAME.parts`, with what they depend on in `job.json`. The
folder is locked meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairseq_signals.errors import ConfigError, OutputError, outside_reason
from fairseq_signals.files import remove_left_overs, whole_file, write_text
from fairseq_signals.safety.locks import one_process

BLOCK_ROWS = 512
_NUMBERED = re.compile(r"part-\d{5,9}\.parquet")
_SCHEMA = pa.schema([("record", pa.string()), ("signature", pa.string()), ("values", pa.list_(pa.float32()))])


@contextlib.contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Keep other processes from computing the same result meanwhile.

    Raises:
        OutputError: one is doing so.
    """
    busy = f"{out}: another process is writing this file. Wait for it, end it, or choose another --out."
    folder = parts_of(out)
    with one_process(folder, OutputError(busy)):
        remove_left_overs(folder)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # there are rows in it
                folder.rmdir()


class Parts:
    """The rows of an unfinished result.

    Args:
        out: the result.
        job: what the rows depend on besides the recordings.

    Raises:
        ConfigError: there are rows of another job.
    """

    def __init__(self, out: Path, job: dict[str, Any]) -> None:
        self.folder, self.job = parts_of(out), json.loads(json.dumps(job))
        self._note = self.folder / "job.json"
        #: By the recording's name: the signature of its files, the number of the part, the row in it.
        self._places: dict[str, tuple[str, int, int]] = {}
        self._next = 0
        files = self._files()
        if not files or not self._note.is_file():
            self.remove()
            return
        if self._noted() != self.job:
            raise ConfigError(
                f"{self.folder} holds rows of another model or with other options; finish that run with the "
                "same command, remove the folder, or choose another --out"
            )
        for file in files:
            self._next = int(file.stem.partition("-")[2]) + 1
            self._keep(self._next - 1, *(_read(file, name).to_pylist() for name in ("record", "signature")))

    def _noted(self) -> Any:
        try:
            return json.loads(self._note.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise _unreadable(self._note, error) from error

    def has(self, name: str, signature: str) -> bool:
        """Whether the row of a recording is there, of the same files."""
        return name in self._places and self._places[name][0] == signature

    def add(self, rows: dict[str, tuple[str, np.ndarray]]) -> None:
        """Write rows: the signature and the values (K,) by the recording's name."""
        if not rows:
            return
        if not self._note.is_file():
            write_text(self._note, [json.dumps(self.job)])
        signatures = [signature for signature, _ in rows.values()]
        values = [np.asarray(row, np.float32) for _, row in rows.values()]
        table = pa.table([list(rows), signatures, values], schema=_SCHEMA)
        with whole_file(self._file(self._next)) as path:
            pq.write_table(table, path, write_page_checksum=True)
        self._keep(self._next, list(rows), signatures)
        self._next += 1

    def blocks(self, names: Sequence[str]) -> Iterator[tuple[Sequence[str], np.ndarray]]:
        """The values of recordings, in this order: names and (n, K) float32 of some at a time.

        Raises:
            OutputError: a row is not of the recording that it was written for.
        """

        @lru_cache(maxsize=4)
        def rows_of(number: int) -> tuple[list[str], np.ndarray]:
            records, column = (_read(self._file(number), name) for name in ("record", "values"))
            flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
            return records.to_pylist(), np.concatenate(flat).reshape(len(column), -1)

        def values_of(name: str) -> np.ndarray:
            _, number, row = self._places[name]
            records, values = rows_of(number)
            if records[row : row + 1] != [name]:
                raise _changed(self._file(number), f"row {row} is no longer of {name}")
            return values[row]

        for start in range(0, len(names), BLOCK_ROWS):
            some = names[start : start + BLOCK_ROWS]
            yield some, np.stack([values_of(name) for name in some])

    def remove(self) -> None:
        """Remove all rows; their folder is the lock, and goes with it."""
        for file in (*self._files(), self._note):
            file.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(file for file in self.folder.glob("part-*.parquet") if _NUMBERED.fullmatch(file.name))

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"

    def _keep(self, number: int, names: Sequence[str], signatures: Sequence[str]) -> None:
        for row, (name, signature) in enumerate(zip(names, signatures)):
            self._places[name] = signature, number, row


def _read(file: Path, column: str) -> pa.ChunkedArray:
    try:
        found = pq.read_table(file, columns=[column], page_checksum_verification=True)[column]
        if found.type != _SCHEMA.field(column).type or found.null_count:
            raise pa.ArrowInvalid(f"{column} is not as it was written")
        return found
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> OutputError:
    reason = outside_reason(error)
    if reason is None:
        return _changed(file, f"it cannot be read ({error})")
    return OutputError(f"{file} cannot be read for a reason outside the file: {reason}. Try again.")


def _changed(file: Path, what: str) -> OutputError:
    return OutputError(f"{file}: {what}: it was changed or damaged. Remove {file.parent} and run again.")


def parts_of(out: Path) -> Path:
    """Where the rows of an unfinished result are."""
    return out.with_name(f".{out.name}.parts")
