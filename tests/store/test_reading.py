"""Reading a record store."""

import json
import os
import pickle

import numpy as np
import pyarrow as pa
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import StoreError
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.store.stored_records import StoredRecords


@pytest.fixture
def rows():
    """Five records: all leads, or lead II and V6 only, of different lengths."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(5):
        leads = LEADS if i % 2 == 0 else ("II", "V6")
        signal = rng.integers(-2000, 2000, (len(leads), 100 + 10 * i)).astype(np.int16)
        scale = rng.uniform(1e-4, 1e-2, len(leads))
        made.append(
            StoreRow(f"r{i}", "corpus", 500.0, leads, scale, signal, patient_id=f"p{i // 2}", age=40 + i)
        )
    return made


@pytest.fixture
def store_dir(tmp_path, rows):
    """The five records in two shards."""
    write_shard(tmp_path / "shard-00000.arrow", rows[:3])
    write_shard(tmp_path / "shard-00001.arrow", rows[3:])
    return tmp_path


def test_a_record_is_read_in_millivolt_on_twelve_leads(store_dir, rows):
    signal, present = RecordStore(store_dir).read("shard-00000.arrow", 1)
    assert (signal.shape, signal.dtype, present.dtype) == ((12, 110), np.float32, bool)
    assert [lead for lead, there in zip(LEADS, present) if there] == ["II", "V6"]
    np.testing.assert_allclose(signal[[1, 11]], rows[1].signal * rows[1].scale[:, None], rtol=1e-6)
    assert not signal[~present].any()


def test_the_offset_of_a_lead_is_added_unless_the_lead_is_absent_or_omitted(tmp_path, rows):
    rows[0].offset = np.arange(12.0)
    rows[1].offset = np.array([187.0, 0.0])
    write_shard(tmp_path / "shard-00000.arrow", rows[:3])
    store = RecordStore(tmp_path)
    for row, made in enumerate(rows[:3]):
        signal, present = store.read("shard-00000.arrow", row)
        offset = np.zeros(len(made.leads)) if made.offset is None else made.offset
        np.testing.assert_allclose(
            signal[present], made.signal * made.scale[:, None] + offset[:, None], rtol=1e-6, atol=1e-5
        )
        omitted = np.empty_like(signal)
        omit = np.arange(12) % 2 == 1
        store.read_into(omitted, "shard-00000.arrow", row, omit=omit)
        np.testing.assert_array_equal(omitted, np.where(omit[:, None], 0, signal))
        whole = StoredRecords(store).read("shard-00000.arrow", row)
        np.testing.assert_allclose(whole.signal_mv(), signal[present], rtol=1e-6, atol=1e-5)


def test_a_shard_of_version_1_which_has_no_offsets_is_read_as_before(store_dir, rows):
    new, _ = RecordStore(store_dir).read("shard-00000.arrow", 1)
    path = store_dir / "shard-00000.arrow"
    table = pa.ipc.open_file(str(path)).read_all().drop_columns(["offset"])
    metadata = {**table.schema.metadata, b"fairseq_signals.schema": b"1"}
    with pa.ipc.new_file(str(path), table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table.replace_schema_metadata(metadata))
    store = RecordStore(store_dir)
    np.testing.assert_array_equal(store.read("shard-00000.arrow", 1)[0], new)
    assert StoredRecords(store).read("shard-00000.arrow", 1).offset is None
    assert store.metadata(("offset",))["offset"].null_count == len(rows)


def test_a_stretch_equals_that_part_of_the_whole(store_dir):
    store = RecordStore(store_dir)
    whole, _ = store.read("shard-00001.arrow", 1)
    np.testing.assert_array_equal(store.read("shard-00001.arrow", 1, 30, 50)[0], whole[:, 30:80])
    np.testing.assert_array_equal(store.read("shard-00001.arrow", 1, 30)[0], whole[:, 30:])
    assert store.n_samples("shard-00001.arrow", 1) == whole.shape[1] == 140


def test_metadata_has_every_column_but_the_signal_and_tells_where_records_are(store_dir, rows):
    store = RecordStore(store_dir)
    table = store.metadata()
    assert len(store) == len(table) == 5
    assert table.column_names == [
        "record_id", "patient_id", "source", "fs", "leads", "n_samples", "scale", "offset", "age", "sex",
        "codes", "report", "attributes", "shard", "row",
    ]  # fmt: skip
    for entry, made in zip(table.to_pylist(), rows):
        assert (entry["record_id"], entry["patient_id"]) == (made.record_id, made.patient_id)
        signal, _ = store.read(entry["shard"], entry["row"])
        assert signal.shape[1] == entry["n_samples"] == made.signal.shape[1]


def test_a_store_survives_pickling_without_its_memory_maps(store_dir):
    store = RecordStore(store_dir)
    before, _ = store.read("shard-00000.arrow", 0)
    data = pickle.dumps(store)
    assert len(data) < 2000
    after, _ = pickle.loads(data).read("shard-00000.arrow", 0)
    np.testing.assert_array_equal(before, after)


def test_a_shard_that_took_the_place_of_another_since_is_not_read(store_dir):
    store = RecordStore(store_dir)
    name = store.shards[-1]
    copy = store_dir / "copy"
    copy.write_bytes((store_dir / name).read_bytes())
    os.utime(copy, ns=(1, 1))
    copy.replace(store_dir / name)
    with pytest.raises(StoreError, match="was changed since the store was opened"):
        store.read(name, 0)
    assert len(RecordStore(store_dir)) == len(RecordStore(store_dir).metadata())


def test_what_was_read_is_a_copy(store_dir):
    store = RecordStore(store_dir)
    signal, _ = store.read("shard-00000.arrow", 0)
    signal[:] = 0
    assert store.read("shard-00000.arrow", 0)[0].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("shard-00009.arrow", 0), r"shard-00009\.arrow: there is no such shard"),
        (("shard-00000.arrow", 3), "there is no row 3, only 3 rows"),
        (("shard-00000.arrow", -1), "there is no row -1"),
        (("shard-00000.arrow", 0, 90, 20), "row 0 has 100 samples, but 90 to 110 were asked for"),
        (("shard-00000.arrow", 0, -5, 10), "-5 to 5 were asked for"),
        (("shard-00000.arrow", 0, 101), "101 to 100 were asked for"),
    ],
)
def test_asking_for_what_is_not_there_is_an_error_that_names_it(store_dir, call, message):
    with pytest.raises(StoreError, match=message):
        RecordStore(store_dir).read(*call)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="there is no such folder"):
        RecordStore(tmp_path / "gone")
    with pytest.raises(StoreError, match="not a record store"):
        RecordStore(tmp_path)


@pytest.mark.parametrize("state", [{"complete": False, "shards": 2}, {"complete": True, "shards": 3}])
def test_an_unfinished_store_is_refused(store_dir, state):
    (store_dir / "store.json").write_text(json.dumps(state))
    with pytest.raises(
        StoreError, match=r"not finished, or shards were deleted .* Run the same command again"
    ):
        RecordStore(store_dir)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"store\.json: not a readable JSON file"),
        ("[" * 99_999, r"store\.json: is nested deeper"),
        ("[1]", r"store\.json: must be a dictionary, but is \[1\]"),
        ('{"complete": true, "shards": "2"}', r"store\.json: shards must be an integer"),
    ],
)
def test_a_damaged_state_is_named(store_dir, text, message):
    (store_dir / "store.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        RecordStore(store_dir)
