"""Many recordings through a model into one file; a run that was stopped goes on where it was (`resuming`)."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fairseq_signals.ecg.leads import parse_leads
from fairseq_signals.errors import (
    TRIED_AGAIN,
    FairseqSignalsError,
    MissingLibraryError,
    Rejections,
    SignalWarning,
    without_record,
)
from fairseq_signals.files import whole_files, write_text
from fairseq_signals.formats.options import DEFAULTS, ReadOptions
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.listing import ListedRecording
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.resuming import Parts
from fairseq_signals.inference.sources import StoreRecord, signature
from fairseq_signals.safety.text import counted, csv_cell, tell, tsv_line, visible
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.resampled import warn_if_resampled_otherwise

PART_ROWS = 512
PART_S = 30.0  # what is computed in the meantime is lost if the process is killed


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes:
        out: the file to write.
        names: the recordings that could be used, in their order.
        reasons: why each other one could not.
        parts: the values.
    """

    out: Path
    names: list[str]
    reasons: dict[str, FairseqSignalsError]
    parts: Parts

    def write_npy(self) -> int:
        """Write an array (recordings, K) float32, and `NAME.records.csv` with their names; returns K."""
        width = 0
        with whole_files([self.out, _beside(self.out, "records.csv")], self._retire) as (path, names):
            pa.csv.write_csv(_for_csv(pa.table({"record": self.names})), names)
            with path.open("wb") as file:
                for _, values in self.parts.blocks(self.names):
                    if not width:
                        width = values.shape[1]
                        header = {"descr": "<f4", "fortran_order": False, "shape": (len(self.names), width)}
                        np.lib.format.write_array_header_1_0(file, header)
                    file.write(values.astype("<f4").tobytes())
        return width

    def write_table(self, table: Callable[[Sequence[str], np.ndarray], pa.Table]) -> int:
        """Write a .csv or .parquet file of what `table` makes of names and values (n, K); returns K."""
        width, writer = 0, None
        with whole_files([self.out], self._retire) as (path,):
            try:
                for names, values in self.parts.blocks(self.names):
                    block, width = table(names, values), values.shape[1]
                    is_csv = self.out.suffix.lower() == ".csv"
                    block = _for_csv(block) if is_csv else block
                    if writer is None:
                        make = pa.csv.CSVWriter if is_csv else pq.ParquetWriter
                        writer = make(str(path), block.schema)
                    writer.write_table(block)
            finally:
                if writer is not None:
                    writer.close()
        return width

    def _retire(self) -> None:
        """Remove what was told of an older result: a new one without it is not finished."""
        for ending in ("records.csv", "rejected.tsv"):
            _beside(self.out, ending).unlink(missing_ok=True)

    def finish(self) -> int:
        """Note what was left out in `NAME.rejected.tsv`, and remove the parts; gives the exit code.

        It is 1 where most recordings were not available, too; the same command tries all again.
        """
        code = note_rejected(self.out, list(self.reasons.items()))
        self.parts.remove()
        if not self.names:
            print("no recording could be used, nothing was written", file=sys.stderr)
        n_lost = sum(error.kind in TRIED_AGAIN for error in self.reasons.values())
        if n_lost:
            again = "run the same command again when that has changed"
            were = "was" if n_lost == 1 else "were"
            print(f"warning: {counted(n_lost, 'recording')} {were} not available; {again}", file=sys.stderr)
        return code if self.names and n_lost <= len(self.names) + len(self.reasons) - n_lost else 1


def run_all(
    model: ECGModel,
    recordings: Sequence[ListedRecording],
    out: Path,
    outputs: Sequence[str],
    value: Callable[[Encoded], np.ndarray],
    leads: str | None = None,
    batch_size: int = 16,
    options: dict[str, Any] | None = None,
    reading: ReadOptions = DEFAULTS,
    layer: int | str | None = None,
) -> Result:
    """The values of each recording, and the recordings that could not be used with the reason.

    Of an earlier run, rows stand whose files are the same; what could not be used is tried again.

    Args:
        recordings: all of them, also those that an earlier run has done.
        out: the file that the caller will write; call `finish` of the result after it.
        outputs: what the network computes: "embedding", "logit" or both.
        value: of a recording's outputs, (K,).
        options: whatever else the values depend on.
        reading: how files are read.
        layer: of the encoder, as for `ECGModel.embed`.

    Raises:
        LeadError: there is no such lead.
        CheckpointError: the model does not compute that.
        ConfigError: there is no such layer, or an unfinished run of this result had other options.
    """
    parse_leads(leads)
    job: dict[str, Any] = {
        "model": model.fingerprint,
        "form": repr(model.form),
        "output": ",".join(outputs),
        "leads": leads,
        "reading": asdict(reading),
        **({} if layer is None else {"layer": layer}),
        **(options or {}),
    }
    parts = Parts(out, job)
    signatures = {named.name: signature(named.source) for named in recordings}
    left = [named for named in recordings if not parts.has(named.name, signatures[named.name])]
    n_done = len(recordings) - len(left)
    if n_done:
        print(f"{n_done} of {len(recordings)} recordings are done already", file=sys.stderr)
    rows: dict[str, tuple[str, np.ndarray]] = {}
    reasons: dict[str, FairseqSignalsError] = {}
    written = time.monotonic()
    try:
        for name, found in stream_named(model, left, leads, outputs, batch_size, reading, layer):
            if isinstance(found, FairseqSignalsError):
                reasons[name] = found
                continue
            rows[name] = signatures[name], value(found)
            if len(rows) >= PART_ROWS or time.monotonic() - written >= PART_S:
                parts.add(rows)
                rows, written = {}, time.monotonic()
    finally:
        parts.add(rows)
    return Result(out, [named.name for named in recordings if named.name not in reasons], reasons, parts)


def vector_column(values: np.ndarray) -> pa.Array:
    """Vectors (n, K) as a column of a table, a list of K numbers in each cell."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def note_rejected(out: Path | None, errors: Sequence[tuple[str, FairseqSignalsError]]) -> int:
    """Tell which recordings were left out and why: all in `NAME.rejected.tsv`, or else all as a warning.

    Returns:
        The exit code: 1 where a library is missing, which is no fault of the recordings.
    """
    rejected = None if out is None else _beside(out, "rejected.tsv")
    if rejected is not None:
        rejected.unlink(missing_ok=True)
    if not errors:
        return 0
    found = Rejections() if rejected is not None else Rejections(n_shown=len(errors))
    reasons = [(name, without_record(error, name)) for name, error in errors]
    for (name, reason), (_, error) in zip(reasons, errors):
        found.add(name, reason, error.kind)
    print(f"warning: {counted(len(errors), 'recording')} could not be used: {found}", file=sys.stderr)
    if rejected is not None:
        write_text(rejected, map(tsv_line, [("record", "reason"), *reasons]))
        print(f"the reason of each is in {rejected}", file=sys.stderr)
    missing = next((error for _, error in errors if isinstance(error, MissingLibraryError)), None)
    if missing is not None:
        tell(f"MissingLibraryError: {missing}")
    return int(missing is not None)


def _for_csv(table: pa.Table) -> pa.Table:
    """A table as it goes to a CSV file: names and texts as `csv_cell`."""
    texts = {
        i: pa.array(map(csv_cell, column.to_pylist()), pa.string())
        for i, column in enumerate(table.columns)
        if pa.types.is_string(column.type)
    }
    columns = [texts.get(i, column) for i, column in enumerate(table.columns)]
    return pa.table(columns, names=list(map(csv_cell, table.column_names)))


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.name}.{ending}")


def stream_named(
    model: ECGModel,
    recordings: Sequence[ListedRecording],
    leads: str | None,
    outputs: Sequence[str],
    batch_size: int,
    reading: ReadOptions,
    layer: int | str | None = None,
) -> Iterator[tuple[str, Encoded | FairseqSignalsError]]:
    """Each recording's name with what the network gives for it, or why it cannot be used.

    Meanwhile a progress bar and, a line a recording, what was warned about are written to standard error.
    """
    from tqdm import tqdm

    for folder in {str(named.source.store) for named in recordings if isinstance(named.source, StoreRecord)}:
        warn_if_resampled_otherwise(RecordStore(folder), model.form.resampler)
    notes: list[Exception] = []

    def pass_on_notes(named: ListedRecording) -> None:
        if notes:  # what was warned about until the next recording is asked for
            told = "; ".join(without_record(note, named.name) for note in notes)
            bar.write(visible(f"warning: {named.name}: {told}"), file=sys.stderr)
            notes.clear()

    def sources() -> Iterator[Any]:
        for named in recordings:
            yield named.source
            pass_on_notes(named)

    with warnings.catch_warnings(), tqdm(total=len(recordings), unit="record", disable=None) as bar:
        warnings.simplefilter("always", SignalWarning)
        warnings.showwarning = lambda message, *_: notes.append(message)
        stream = model.stream(
            sources(), leads=leads, reading=reading, outputs=outputs, layer=layer, batch_size=batch_size
        )
        for named, found in zip(recordings, stream):
            bar.update()
            yield named.name, found
        if recordings:
            pass_on_notes(recordings[-1])


def vectors_of(
    model: ECGModel,
    recordings: Sequence[ListedRecording],
    leads: str | None,
    batch_size: int,
    reading: ReadOptions,
    rejected: list[tuple[str, FairseqSignalsError]],
    output: str = "embedding",
) -> tuple[list[str], list[np.ndarray]]:
    """The names and vectors of the recordings that can be used; the others, with the reason, to `rejected`.

    Args:
        output: "embedding", or "joint", see `ECGModel.stream`.
    """
    names, rows = [], []
    for name, found in stream_named(model, recordings, leads, (output,), batch_size, reading):
        if isinstance(found, FairseqSignalsError):
            rejected.append((name, found))
        else:
            names.append(name)
            rows.append(getattr(found, output))
    return names, rows
