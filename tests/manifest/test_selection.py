"""Columns of metadata are what the functions for one record give; choosing records counts the others."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.errors import ManifestError, StoreError
from fairseq_signals.manifest.people import acquisition, patient_key
from fairseq_signals.manifest.selection import Selection, python_lists, python_values, read_metadata
from fairseq_signals.store.shards import StoreRow, write_shard

NAMES = st.sampled_from(["HR00001", "00001_hr", "00001_lr", "1", "x/00002_hr", "E1", "J2", "HR1", "00003_hr"])
SOURCES = st.sampled_from(["ptb-xl", "PTB_XL", "georgia", "a"])
RECORDS = st.tuples(NAMES, SOURCES, st.none() | st.sampled_from(["", "7", "8"]))


def write_store(folder, records, n_shards=1):
    """A store of (record_id, source, patient_id) with a second of signal each."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        StoreRow(name, source, 10.0, ("I",), np.ones(1), np.zeros((1, 10), np.int16), patient_id=patient)
        for name, source, patient in records
    ]
    for i in range(n_shards):
        write_shard(folder / f"shard-{i:05d}.arrow", rows[i::n_shards])
    return folder


@settings(max_examples=30, deadline=None)
@given(records=st.lists(RECORDS, max_size=8))
def test_columns_are_what_the_functions_for_one_record_give(tmp_path_factory, records):
    root = tmp_path_factory.mktemp("root")
    table = read_metadata(write_store(root / "s", records, 2), root, ["fs"])
    for row in table.to_pylist():
        record = f"{row['source']}/{row['record_id']}"
        assert row["record"] == record
        assert row["patient"] == patient_key(row["source"], row["record_id"], row["patient_id"])
        assert row["acquisition"] == acquisition(record)
        assert row["shard"].startswith("s/shard-0000")
        assert row["fs"] == 10
    assert len(table) == len(records)


def test_a_store_that_is_its_own_root_names_shards_plainly(tmp_path):
    store = write_store(tmp_path / "s", [("1", "a", None)])
    assert read_metadata(store, store)["shard"].to_pylist() == ["shard-00000.arrow"]
    with pytest.raises(StoreError):
        read_metadata(tmp_path / "none", tmp_path)


def test_python_values_are_those_of_the_column_with_equal_texts_shared():
    column = pa.chunked_array([pa.array(["a b", "c"]), pa.array(["a b"])])
    values = python_values(column)
    assert values == column.to_pylist()
    assert values[0] is values[2]
    assert python_values(pa.chunked_array([pa.array([1, 2])])) == [1, 2]


@settings(deadline=None)
@given(chunks=st.lists(st.lists(st.lists(st.sampled_from(["a", "b c"]), max_size=3), max_size=4), max_size=3))
def test_python_lists_are_those_of_the_column(chunks):
    column = pa.chunked_array(
        [pa.array(chunk, pa.list_(pa.string())) for chunk in chunks], pa.list_(pa.string())
    )
    assert python_lists(column) == [tuple(row) for row in column.to_pylist()]
    assert python_lists(column[1:]) == [tuple(row) for row in column[1:].to_pylist()]


def slow_without_copies(rows):
    """One row an acquisition: with a patient, at 500 Hz, then by name and place."""

    def preference(row):
        return (not row["patient_id"], row["record"].endswith("_lr"), row["record"], row["shard"], row["row"])

    best = {}
    for row in sorted(rows, key=preference):
        best.setdefault(row["acquisition"], row)
    return sorted(best.values(), key=lambda row: row["record"])


@settings(max_examples=30, deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=12, unique=True))
def test_of_each_acquisition_the_best_copy_is_kept(tmp_path_factory, records):
    root = tmp_path_factory.mktemp("root")
    table = read_metadata(write_store(root / "s", records, 3), root, ["fs"])
    selection = Selection(table)
    selection.without_copies()
    kept = selection.sorted_by_record().to_pylist()
    assert kept == slow_without_copies(table.to_pylist())
    assert selection.left_out["copies of another record"] == len(records) - len(kept)


def test_rates_and_sources_are_counted(tmp_path):
    store = write_store(tmp_path / "s", [("1", "a", None), ("2", "b", None), ("3", "b", None)])
    table = read_metadata(store, store, ["fs"]).set_column(0, "fs", pa.chunked_array([[10.0, 10.0, 20.0]]))
    with pytest.raises(ManifestError, match=r"several sampling rates: 2 at 10 Hz, 1 at 20 Hz"):
        Selection(table).of_one_rate(None)
    selection = Selection(table)
    assert selection.of_one_rate(20.0) == 20
    assert selection.table["record"].to_pylist() == ["b/3"]
    assert selection.left_out == {"sampled at 10 Hz, not 20": 2}
    selection = Selection(table)
    selection.of_sources(["a"])
    assert selection.left_out == {"of other sources": 2}
    with pytest.raises(ManifestError, match="--sources: no c in the store; it has a, b"):
        Selection(table).of_sources(["a", "c"])
