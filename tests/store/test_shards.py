"""Writing shards, and opening them."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import StoreError
from fairseq_signals.store import signal_column
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import (
    LeadFault,
    Rejection,
    ShardNotes,
    StoreRow,
    open_shard,
    read_notes,
    write_shard,
)


def row(record_id="r", leads=LEADS, n_samples=50, seed=0, **fields):
    signal = np.random.default_rng(seed).integers(-32768, 32768, (len(leads), n_samples)).astype(np.int16)
    return StoreRow(record_id, "corpus", 500.0, leads, np.full(len(leads), 1e-3), signal, **fields)


def test_any_arrow_tool_can_read_a_shard(tmp_path):
    rows = [
        row(
            "a", patient_id="p1", age=61.5, sex="female", codes=("1", "2"), report="normal",
            attributes=(("fold", "3"), ("noise", "")),
        ),
        row("b", ("I", "V2"), n_samples=7, seed=1),
    ]  # fmt: skip
    assert write_shard(tmp_path / "s.arrow", rows) == 2
    table = pa.ipc.open_file(str(tmp_path / "s.arrow")).read_all()
    assert table.schema.metadata == {b"fairseq_signals.schema": b"2", b"fairseq_signals.codec": b"int16"}
    first, second = table.drop_columns(["signal"]).to_pylist()
    assert first == {
        "record_id": "a", "patient_id": "p1", "source": "corpus", "fs": 500.0, "leads": list(LEADS),
        "n_samples": 50, "scale": [1e-3] * 12, "offset": None, "age": 61.5, "sex": "female",
        "codes": ["1", "2"], "report": "normal", "attributes": [("fold", "3"), ("noise", "")],
    }  # fmt: skip
    assert second["leads"] == ["I", "V2"]
    assert [second[name] for name in ("patient_id", "age", "sex", "report", "attributes")] == [None] * 5
    for stored, made in zip(table["signal"], rows):
        np.testing.assert_array_equal(
            np.frombuffer(stored.as_py(), "<i2").reshape(len(made.leads), -1), made.signal
        )


def test_the_signal_column_is_stored_as_it_is(tmp_path):
    made = row()
    write_shard(tmp_path / "s.arrow", [made])
    assert made.signal.astype("<i2").tobytes() in (tmp_path / "s.arrow").read_bytes()


def test_rows_are_flushed_in_batches_without_a_difference_for_readers(tmp_path, monkeypatch):
    rows = [row(f"r{i}", n_samples=40 + i, seed=i) for i in range(7)]
    notes = ShardNotes([Rejection("x", "why")])
    write_shard(tmp_path / "shard-00000.arrow", rows, notes)
    monkeypatch.setattr(signal_column, "_FULL", 2000)
    write_shard(tmp_path / "shard-00001.arrow", rows, notes)
    assert open_shard(tmp_path / "shard-00001.arrow").num_record_batches > 3
    store = RecordStore(tmp_path)
    for i in range(7):
        whole, _ = store.read("shard-00000.arrow", i)
        flushed, _ = store.read("shard-00001.arrow", i)
        np.testing.assert_array_equal(whole, flushed)
    assert read_notes(tmp_path / "shard-00000.arrow") == read_notes(tmp_path / "shard-00001.arrow")


def test_notes_travel_with_the_shard(tmp_path):
    notes = ShardNotes(
        [Rejection("c/r", "caf\u00e9\tbroken")], [LeadFault("c/s", "I", "constant")], {"truncated": 1}
    )

    def rows():
        yield row()
        notes.counts["truncated"] += 1  # noted while rows are being made

    write_shard(tmp_path / "s.arrow", rows(), notes)
    n_rows, found = read_notes(tmp_path / "s.arrow")
    assert (n_rows, found) == (1, notes)
    assert found.counts == {"truncated": 2}


def test_a_shard_without_rows_is_valid(tmp_path):
    write_shard(tmp_path / "shard-00000.arrow", [], ShardNotes([Rejection("a", "b", "truncated")]))
    assert read_notes(tmp_path / "shard-00000.arrow")[1].rejected == [("a", "b", "truncated")]
    assert len(RecordStore(tmp_path)) == 0


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    def rows():
        yield row()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_shard(tmp_path / "s.arrow", rows())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(leads=("II", "I")), "not canonical names in order"),
        (row(leads=("I", "I")), "not canonical names in order"),
        (row(leads=("i",)), "not canonical names in order"),
        (row(leads=()), "not canonical names in order"),
        (StoreRow("r", "c", 500, ("I",), np.ones(1), np.zeros((1, 5))), "must be int16 of shape"),
        (StoreRow("r", "c", 500, ("I",), np.ones(1), np.zeros((2, 5), np.int16)), "must be int16 of shape"),
        (
            StoreRow("r", "c", 500, ("I",), np.array([np.inf]), np.zeros((1, 5), np.int16)),
            "finite number per lead",
        ),
    ],
)
def test_a_row_that_no_reader_could_interpret_is_refused(tmp_path, bad, message):
    with pytest.raises(StoreError, match=f"record r: .*{message}"):
        write_shard(tmp_path / "s.arrow", [bad])
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "shard-00000.arrow"
    table = pa.table({"record_id": ["a"]})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(
        StoreError, match=r"shard-00000\.arrow: schema version none .* reads 1 and 2 with int16 or flac"
    ):
        open_shard(path)


@pytest.mark.parametrize("content", [b"", b"not arrow", b"ARROW1\0\0" + bytes(100)])
def test_a_damaged_shard_is_refused(tmp_path, content):
    path = tmp_path / "shard-00000.arrow"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"shard-00000\.arrow is damaged"):
        open_shard(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(
    present=st.sets(st.sampled_from(LEADS), min_size=1), n_samples=st.integers(1, 30), seed=st.integers(0, 99)
)
def test_reading_back_gives_stored_value_times_scale(tmp_path, present, n_samples, seed):
    made = row(leads=[lead for lead in LEADS if lead in present], n_samples=n_samples, seed=seed)
    write_shard(tmp_path / "shard-00000.arrow", [made])
    signal, mask = RecordStore(tmp_path).read("shard-00000.arrow", 0)
    assert [lead for lead, there in zip(LEADS, mask) if there] == list(made.leads)
    np.testing.assert_allclose(signal[mask], made.signal * made.scale[:, None], rtol=1e-6)
    assert not signal[~mask].any()


def test_counts_in_the_notes_are_plain_json():
    notes = ShardNotes([Rejection("a", "b", "truncated")], [], {"k": 2})
    assert json.loads(notes.to_json()) == {
        "rejected": [["a", "b", "truncated"]],
        "faults": [],
        "counts": {"k": 2},
    }


def test_notes_without_kinds_of_rejection_are_read():
    notes = ShardNotes.from_json(b'{"rejected": [["a", "b"]], "faults": [], "counts": {}}')
    assert notes.rejected == [Rejection("a", "b", "")]


def test_a_record_in_a_file_is_written_in_pieces_to_the_same_bytes(tmp_path, monkeypatch):
    made = row()
    write_shard(tmp_path / "a.arrow", [made])
    mapped = np.memmap(tmp_path / "signal", np.int16, "w+", shape=made.signal.shape)
    mapped[...] = made.signal
    monkeypatch.setattr("fairseq_signals.store.sink._PIECE", 100)
    write_shard(tmp_path / "b.arrow", [replace(made, signal=mapped)])
    assert (tmp_path / "b.arrow").read_bytes() == (tmp_path / "a.arrow").read_bytes()
