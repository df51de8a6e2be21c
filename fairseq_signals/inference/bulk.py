"""Many recordings through a model into one file; a run that was stopped goes on where it was.

While a run is under way, its rows are in numbered Parquet files in the folder `.NAME.parts` beside the
result, with what they depend on in `job.json`. When all are there, the result is written under a temporary
name and renamed, and the folder goes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.errors import ConfigError, FairseqSignalsError, SignalWarning
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.listing import Named
from fairseq_signals.inference.model import ECGModel

PART_ROWS = 512
SCHEMA = pa.schema([("record", pa.string()), ("values", pa.list_(pa.float32())), ("reason", pa.string())])
Rows = dict[str, tuple[Any, Any]]


def run_all(
    model: ECGModel,
    recordings: Sequence[Named],
    out: Path,
    output: str,
    value: Callable[[Encoded], np.ndarray],
    leads: str | None = None,
    batch_size: int = 16,
    options: dict[str, Any] | None = None,
) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """The values of each recording, and the recordings that could not be used with the reason.

    Args:
        model: the model.
        recordings: all of them, also those that an earlier run has done.
        out: the file that the caller will write; call `finish` after it.
        output: what the network computes: "embedding" or "logit".
        value: of a recording's outputs, (K,).
        leads: leads to use; all by default.
        batch_size: segments a forward pass.
        options: whatever else the values depend on.

    Returns:
        Names of the recordings that could be used, in their order; (N, K) float32; reasons by name.

    Raises:
        LeadError: there is no such lead.
        CheckpointError: the model does not compute that.
        ConfigError: an unfinished run of this result had other options.
    """
    parse_leads(leads)
    job = {"model": model.fingerprint, "form": repr(model.form), "output": output, "leads": leads}
    folder = parts_of(out)
    done = _resume(folder, {**job, **(options or {})})
    left = [named for named in recordings if named.name not in done]
    if done:
        print(
            f"{len(recordings) - len(left)} of {len(recordings)} recordings are done already", file=sys.stderr
        )
    part: Rows = {}
    for name, found in stream_named(model, left, leads, output, batch_size):
        part[name] = (None, str(found)) if isinstance(found, FairseqSignalsError) else (value(found), None)
        if len(part) >= PART_ROWS:
            _write_part(folder, part)
            done.update(part)
            part = {}
    if part:
        _write_part(folder, part)
        done.update(part)
    names = [named.name for named in recordings if done[named.name][1] is None]
    reasons = {named.name: done[named.name][1] for named in recordings if done[named.name][1] is not None}
    values = np.stack([done[name][0] for name in names]) if names else np.zeros((0, 0), np.float32)
    return names, values.astype(np.float32), reasons


def parts_of(out: Path) -> Path:
    """Where the rows of an unfinished result are."""
    return out.with_name(f".{out.name}.parts")


def finish(out: Path, reasons: dict[str, str]) -> None:
    """Note what was left out in `NAME.rejected.tsv`, and remove the parts of the result."""
    note_rejected(out, list(reasons.items()))
    shutil.rmtree(parts_of(out), ignore_errors=True)


def note_rejected(out: Path, reasons: Sequence[tuple[str, str]]) -> None:
    """Write the name of each recording that was left out, and the reason, to `NAME.rejected.tsv`."""
    rejected = out.with_name(f"{out.name}.rejected.tsv")
    if not reasons:
        rejected.unlink(missing_ok=True)
        return
    lines = [f"{name}\t{' '.join(reason.split())}\n" for name, reason in reasons]
    rejected.parent.mkdir(parents=True, exist_ok=True)
    rejected.write_text("record\treason\n" + "".join(lines), encoding="utf-8")
    print(f"warning: {len(reasons)} recordings could not be used, see {rejected}", file=sys.stderr)


def write_file(out: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file under a temporary name with the same suffix, then rename it to `out`."""
    partial = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    try:
        write(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def stream_named(
    model: ECGModel, recordings: Sequence[Named], leads: str | None, output: str, batch_size: int
) -> Iterator[tuple[str, Encoded | FairseqSignalsError]]:
    """Each recording's name with what the network gives for it, or why it cannot be used.

    Meanwhile a progress bar and, a line a recording, what was warned about are written to standard error.
    """
    from tqdm import tqdm

    notes: list[str] = []

    def sources() -> Iterator[Any]:
        for named in recordings:
            yield named.source
            if notes:  # what was warned about until the next recording is asked for
                bar.write(f"warning: {named.name}: {'; '.join(notes)}", file=sys.stderr)
                notes.clear()

    with warnings.catch_warnings(), tqdm(total=len(recordings), unit="record", disable=None) as bar:
        warnings.simplefilter("always", SignalWarning)
        warnings.showwarning = lambda message, *_: notes.append(str(message))
        stream = model.stream(sources(), leads=leads, outputs=(output,), batch_size=batch_size)
        for named, found in zip(recordings, stream):
            bar.update()
            yield named.name, found


def _resume(folder: Path, job: dict[str, Any]) -> Rows:
    """The rows of an earlier run; without any, the folder is made."""
    note = folder / "job.json"
    parts = sorted(folder.glob("part-*.parquet"))
    if parts and note.is_file():
        if json.loads(note.read_text(encoding="utf-8")) != job:
            raise ConfigError(
                f"{folder} holds rows of another model or with other options; finish that run with the same "
                "command, remove the folder, or choose another --out"
            )
        rows: Rows = {}
        for file in parts:
            table = pq.read_table(file, schema=SCHEMA)
            for name, values, reason in zip(*(column.to_pylist() for column in table.columns)):
                rows[name] = (None if values is None else np.asarray(values, np.float32), reason)
        return rows
    folder.mkdir(parents=True, exist_ok=True)
    write_file(note, lambda path: _write_text(path, json.dumps(job)))
    return {}


def _write_part(folder: Path, rows: Rows) -> None:
    values = [None if row is None else np.asarray(row, np.float32).tolist() for row, _ in rows.values()]
    reasons = [reason for _, reason in rows.values()]
    table = pa.table([list(rows), values, reasons], schema=SCHEMA)
    number = len(list(folder.glob("part-*.parquet")))
    write_file(folder / f"part-{number:05d}.parquet", lambda path: pq.write_table(table, path))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
