"""Arrays of NumPy (.npy, .npz) and Parquet tables: leads by names of arrays or columns, or as the user says.

Nothing is unpickled, and what a header says is compared with what the file can hold before it is read.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_signals.ecg.record import MAX_FS, Record
from fairseq_signals.formats.columns import Column, FileSays, read_columns
from fairseq_signals.formats.common import damage_refused, file_name, malformed, of_another_format, read_bytes
from fairseq_signals.formats.limits import FILE_BYTES, require_held, require_length, require_size
from fairseq_signals.formats.options import DEFAULTS, ReadOptions

NPY, ZIP, PARQUET = b"\x93NUMPY", b"PK\x03\x04", b"PAR1"  # the first bytes
#: Entries of an .npz, and keys of a Parquet file's metadata, that tell of the signals, in lower case.
_FS = ("fs", "sampling_rate", "sample_rate", "sampling_frequency", "sfreq")
_LEADS = ("leads", "lead_names", "channels", "channel_names", "ch_names", "sig_name")
_UNIT = ("unit", "units")
_SIGNALS = ("signal_mv", "signal", "signals", "ecg", "data", "x", "arr_0")


def read_arrays(path: Path, record_id: str | None = None, options: ReadOptions = DEFAULTS) -> Record:
    """The leads of an .npy, .npz or Parquet file."""
    record_id = file_name(path) if record_id is None else record_id
    head = read_bytes(record_id, path, 8)
    if head.startswith(NPY):
        require_size(record_id, path.name, path.stat().st_size, FILE_BYTES)
        with damage_refused(
            record_id, f"{path.name} is not a whole array of numbers, or one of objects, which are not read"
        ):
            array = np.load(path, mmap_mode="r", allow_pickle=False)  # refuses one longer than its file
        return _of_matrix(record_id, path, array, (), FileSays(is_named=False), options)
    if head.startswith(ZIP) and path.suffix.lower() == ".npz":
        return _of_entries(record_id, path, _read_npz(record_id, path), options)
    if head.startswith(PARQUET):
        return _of_parquet(record_id, path, options)
    raise of_another_format(record_id, path, "an array of NumPy or a Parquet file")


def _of_matrix(
    record_id: str, path: Path, array: np.ndarray, names: Sequence[str], says: FileSays, options: ReadOptions
) -> Record:
    """The record of an array whose rows or columns are leads, in the order of `names` or of the user's."""
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise malformed(
            record_id, path, f"it holds {array.dtype} of shape {array.shape}, not leads x samples"
        )
    require_length(record_id, array.size, says.fs or options.fs or MAX_FS, options)
    matrix = array[None] if array.ndim == 1 else array
    given = names or options.lead_names.in_order
    if given:
        if len(given) not in matrix.shape or (matrix.shape[0] == matrix.shape[1]):
            raise malformed(
                record_id,
                path,
                f"its array has the shape {array.shape}, and {len(given)} leads are named, so "
                "it is not clear which axis is that of the leads",
            )
        by_rows = matrix.shape[0] == len(given)
    else:
        by_rows = matrix.shape[0] <= matrix.shape[1]
    rows = matrix if by_rows else matrix.T  # (L, T)
    named = names or [str(k + 1) for k in range(len(rows))]
    columns = [Column(name, np.array(row, dtype=np.float64)) for name, row in zip(named, rows)]
    return read_columns(record_id, path.name, columns, says, options)


def _of_entries(
    record_id: str, path: Path, entries: Mapping[str, np.ndarray], options: ReadOptions
) -> Record:
    """The record of named arrays: one of all leads, or one for each lead."""
    lower = {name.lower(): array for name, array in entries.items()}
    fs, unit = _number(_first(lower, _FS)), _text(_first(lower, _UNIT))
    leads = _first(lower, _LEADS)
    names = [] if leads is None else [_text(one) for one in np.atleast_1d(leads)]
    matrices = {
        name: array for name, array in entries.items() if array.ndim == 2 and array.dtype.kind in "iuf"
    }
    if len(matrices) > 1:
        matrices = {name: array for name, array in matrices.items() if name.lower() in _SIGNALS} or matrices
    if len(matrices) > 1:
        listed = ", ".join(f"{name} {array.shape}" for name, array in matrices.items())
        raise malformed(record_id, path, f"which of its arrays the leads are is not clear ({listed})")
    says = FileSays(fs, unit, is_named=bool(names) or not matrices)
    if matrices:
        return _of_matrix(record_id, path, next(iter(matrices.values())), names, says, options)
    told = {*_FS, *_LEADS, *_UNIT}
    columns = [
        Column(name, array.astype(np.float64))
        for name, array in entries.items()
        if array.ndim == 1 and array.dtype.kind in "iuf" and name.lower() not in told
    ]
    return read_columns(record_id, path.name, columns, says, options)


def _read_npz(record_id: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name, but for those of objects, which are pickles."""
    entries = {}
    with damage_refused(record_id, f"{path.name} is not a whole .npz"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            require_held(info.filename, info.file_size, min(info.compress_size, path.stat().st_size))
            with archive.open(info) as file:
                shape, _, dtype = _header(file)
            if dtype.hasobject:
                continue
            require_held(info.filename, math.prod(shape) * dtype.itemsize, info.compress_size)
            with archive.open(info) as file:
                entries[info.filename.removesuffix(".npy")] = np.lib.format.read_array(
                    file, allow_pickle=False
                )
    if not entries:
        raise of_another_format(record_id, path, "an .npz of arrays of numbers")
    return entries


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _of_parquet(record_id: str, path: Path, options: ReadOptions) -> Record:
    """The record of a table with a column a lead."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = []
    with damage_refused(record_id, f"{path.name} is not a whole Parquet file"):
        file = pq.ParquetFile(path)
        told = {k.decode().lower(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items()}
        fs = options.fs or _number(_first(told, _FS)) or MAX_FS
        require_length(record_id, file.metadata.num_rows * len(file.schema_arrow), fs, options)
        require_held("a column", file.metadata.num_rows * 8, path.stat().st_size)
        for field in file.schema_arrow:
            if pa.types.is_nested(field.type):
                columns.append(Column(field.name, None))
                continue
            cells = file.read(columns=[field.name]).column(0)
            unit = _text(_first({k.decode().lower(): v for k, v in (field.metadata or {}).items()}, _UNIT))
            if pa.types.is_timestamp(field.type):
                cells, unit = pc.cast(cells, pa.timestamp("ns")).cast(pa.int64()), "ns"
                cells = pc.subtract(cells, cells[0])
            is_number = pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)
            values = pc.cast(cells, pa.float64(), safe=False).to_numpy() if is_number else None
            columns.append(Column(field.name, values, unit))
    says = FileSays(_number(_first(told, _FS)), _text(_first(told, _UNIT)))
    return read_columns(record_id, path.name, columns, says, options)


def _first(entries: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((entries[name] for name in names if name in entries), None)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(np.asarray(value).reshape(-1)[0])
    except (ValueError, TypeError, IndexError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
