"""A shard with a changed byte is read as far as it makes sense, or refused by name. Nothing else."""

import errno
import json
import os

import numpy as np
import pyarrow as pa
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import StoreError
from fairseq_signals.store.codecs import CODECS
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import Rejection, ShardNotes, StoreRow, read_notes, write_shard
from fairseq_signals.store.stored_records import StoredRecords

SHARD = "shard-00000.arrow"


def rows():
    rng = np.random.default_rng(0)
    for i, leads in enumerate([LEADS, ("II", "V6"), LEADS]):
        signal = rng.integers(-2000, 2000, (len(leads), 60)).astype(np.int16)
        offset = np.ones(len(leads)) if i == 2 else None
        scale = np.full(len(leads), 1e-3)
        yield StoreRow(f"r{i}", "c", 500.0, leads, scale, signal, offset=offset, codes=("a",))


def use(folder):
    """Everything that can be read of a store."""
    store = RecordStore(folder)
    stored = StoredRecords(store)
    store.metadata()
    read_notes(folder / SHARD)
    return [(store.read(SHARD, row), stored.read(SHARD, row)) for row in range(len(store))]


@pytest.fixture(params=CODECS)
def shard(request, tmp_path):
    write_shard(tmp_path / SHARD, rows(), ShardNotes([Rejection("a", "b", "c")]), request.param)
    return tmp_path / SHARD


def test_a_changed_byte_is_noticed_where_it_matters(shard):
    data, rng, n_refused = shard.read_bytes(), np.random.default_rng(0), 0
    assert len(use(shard.parent)) == 3
    for _ in range(150):
        changed = bytearray(data)
        changed[rng.integers(len(data))] ^= 1 << rng.integers(8)
        shard.unlink()  # what is mapped stays as it was
        shard.write_bytes(changed)
        try:
            for (signal_mv, _), record in use(shard.parent):
                assert np.isfinite(signal_mv).all()
                assert record.signal.shape == (len(record.leads), record.n_samples)
        except StoreError:
            n_refused += 1
    assert 20 < n_refused < 140


def rewritten(path, change):
    """The shard with its first batch's columns changed, whatever Arrow thinks of them."""
    reader = pa.ipc.open_file(path)
    columns = reader.read_all().to_pydict()
    change(columns)
    table = pa.table(columns, schema=reader.schema)
    path.unlink()
    with pa.ipc.new_file(path, reader.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("n_samples", 61, "number of samples"),
        ("n_samples", 2**56, "number of samples"),
        ("n_samples", -1, "number of samples"),
        ("leads", ["II", "EEG"], "leads"),
        ("leads", ["V6", "II"], "leads"),
        ("leads", [], "leads"),
        ("fs", float("nan"), "sampling rate"),
        ("scale", [1e-3], "scale"),
        ("scale", [1e-3, float("inf")], "scale"),
        ("offset", [1.0], "offset"),
    ],
)
def test_a_row_whose_parts_do_not_fit_is_refused(column, value, what, tmp_path):
    path = tmp_path / SHARD
    write_shard(path, rows())
    rewritten(path, lambda columns: columns[column].__setitem__(1, value))
    with pytest.raises(StoreError, match=rf"{SHARD} is damaged \(the {what} of a row cannot be\)"):
        RecordStore(tmp_path).read(SHARD, 0)


def test_another_type_of_a_column_and_notes_that_are_none_are_refused(tmp_path):
    path = tmp_path / SHARD
    write_shard(path, rows(), ShardNotes([Rejection("a", "b", "c")]))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data.replace(b'{"rejected"', b'{"rejecteD"'))
    with pytest.raises(StoreError, match=r"is damaged \(its notes: 'rejected'"):
        read_notes(path)
    path.unlink()
    path.write_bytes(data.replace(b"n_samples", b"m_samples"))
    with pytest.raises(StoreError, match=r"is damaged \(it has no column n_samples"):
        RecordStore(tmp_path).metadata()


@pytest.mark.parametrize("text", ["", "[1]", '{"complete": true, "shards": "x"}', "\udcff"])
def test_a_state_file_that_is_none_is_refused(text, tmp_path):
    write_shard(tmp_path / SHARD, rows())
    (tmp_path / "store.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError, match=r"store\.json"):
        RecordStore(tmp_path)
    (tmp_path / "store.json").write_text(json.dumps({"complete": True, "shards": 1}))
    RecordStore(tmp_path)


def test_want_of_file_descriptors_is_not_the_fault_of_a_shard(tmp_path, monkeypatch):
    def no_more(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    write_shard(tmp_path / SHARD, rows())
    monkeypatch.setattr("pyarrow.memory_map", no_more)
    with pytest.raises(StoreError, match="reason outside the file: Too many open files"):
        RecordStore(tmp_path).read(SHARD, 0)
