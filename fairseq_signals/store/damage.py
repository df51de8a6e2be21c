"""Whether the record batches of a shard are what they say, asked before anything in them is believed.

Arrow itself looks at none of the places in a batch where texts and signals begin: one byte that changed there
is memory of others, or the end of the process.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fairseq_signals.errors import StoreError, outside_reason

_LARGEST = 1e30  # of a scale or rate
_MOST_PER_BYTE = 10_000  # samples: FLAC has 12 bytes for 8 leads of 4608 that do not change


def record_batches(
    reader: pa.ipc.RecordBatchFileReader, path: object
) -> Iterator[tuple[pa.RecordBatch, dict]]:
    """The record batches of a shard and what each carries.

    Raises:
        StoreError: one is damaged.
    """
    for i in range(reader.num_record_batches):
        try:
            batch, metadata = reader.get_batch_with_custom_metadata(i)
            batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise not_read(path, error) from error
        yield batch, metadata or {}


def not_read(path: object, error: Exception) -> StoreError:
    """The error for a file of a store that cannot be read: it is damaged, or the disk or memory failed."""
    reason = outside_reason(error)
    if reason is None:
        return damaged(path, error)
    return StoreError(f"{path} cannot be read for a reason outside the file: {reason}. Try again.")


def damaged(path: object, what: object) -> StoreError:
    """The error for a file of a store that is not as it was written."""
    return StoreError(f"{path} is damaged ({what}). Delete it and preprocess again.")


def require_schema(found: pa.Schema, expected: pa.Schema) -> None:
    """Refuse a shard that has a column of another name or type than ours, or lacks one with values.

    Raises:
        ValueError: it does.
    """
    for field in expected:
        place = found.get_field_index(field.name)
        if place < 0 and not field.nullable:
            raise ValueError(f"it has no column {field.name}")
        if place >= 0 and found.field(place).type != field.type:
            raise ValueError(f"column {field.name} is of {found.field(place).type}")
    if not set(found.names) <= set(expected.names):
        raise ValueError(f"it has columns {', '.join(found.names)}")


def require_rows(
    batch: pa.RecordBatch, positions: np.ndarray, ends: np.ndarray, lead_ends: np.ndarray, compressed: bool
) -> None:
    """Refuse a batch with a row whose parts do not fit each other.

    Args:
        batch: the rows.
        positions: of each lead of each row among the twelve, -1 for none of them.
        ends: where the signal of each row, and of the one after the last, begins, in bytes.
        lead_ends: likewise, where its leads do.
        compressed: whether signals are.

    Raises:
        ValueError: there is one.
    """
    columns = dict(zip(batch.schema.names, batch.columns))
    for field in batch.schema:
        if not field.nullable and columns[field.name].null_count:
            raise ValueError(f"a row has no {field.name}")
    n_samples, fs = columns["n_samples"].to_numpy(), columns["fs"].to_numpy()
    n_leads, n_bytes = np.diff(lead_ends), np.diff(ends)
    is_first = np.zeros(len(positions) + 1, bool)
    is_first[lead_ends] = True
    in_order = (np.diff(positions, prepend=-1) > 0) | is_first[:-1]
    scale, offset = columns["scale"], columns.get("offset", pa.nulls(len(batch), pa.list_(pa.float64())))
    n_offsets = offset.value_lengths().fill_null(-1).to_numpy()
    numbers = np.abs(np.concatenate((scale.values.to_numpy(), offset.flatten().to_numpy())))
    wrong = {
        "leads": not n_leads.all() or not in_order.all() or (positions < 0).any(),
        "sampling rate": not ((fs > 0) & (fs < _LARGEST)).all(),
        "scale": (scale.offsets.to_numpy() != lead_ends).any() or not (numbers < _LARGEST).all(),
        "offset": not ((n_offsets == -1) | (n_offsets == n_leads)).all(),
        "number of samples": not ((n_samples > 0) & (n_samples <= n_bytes * _MOST_PER_BYTE)).all(),
    }
    if not compressed and not any(wrong.values()):
        wrong["number of samples"] = (n_bytes != 2 * n_leads * n_samples).any()
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"the {what} of a row cannot be")
