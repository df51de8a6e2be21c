"""Whole records of a store, by id and by place."""

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import StoreError
from fairseq_signals.store.codecs import CODECS
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.store.stored_records import StoredRecords


@pytest.fixture
def rows():
    """Five records of a corpus: all leads, or lead II and V6 only, of different lengths."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(5):
        leads = LEADS if i % 2 == 0 else ("II", "V6")
        signal = rng.integers(-2000, 2000, (len(leads), 100 + 10 * i)).astype(np.int16)
        made.append(StoreRow(f"r{i}", "corpus", 250.0 + i, leads, rng.uniform(1e-4, 1, len(leads)), signal))
    return made


@pytest.fixture(params=CODECS)
def store_dir(tmp_path, rows, request):
    """The five records in two shards."""
    write_shard(tmp_path / "shard-00000.arrow", rows[:3], codec=request.param)
    write_shard(tmp_path / "shard-00001.arrow", rows[3:], codec=request.param)
    return tmp_path


def test_a_record_comes_back_as_it_was_stored(store_dir, rows):
    for store in (store_dir, RecordStore(store_dir)):
        records = StoredRecords(store)
        for i, row in enumerate(rows):
            record = records.read(f"shard-0000{i // 3}.arrow", i % 3)
            assert (record.record_id, record.fs, record.leads) == (row.record_id, row.fs, tuple(row.leads))
            assert record.signal.dtype == np.int16
            np.testing.assert_array_equal(record.signal, row.signal)
            np.testing.assert_array_equal(record.scale, row.scale)


def test_a_record_is_found_by_its_id_with_and_without_its_source(store_dir):
    records = StoredRecords(store_dir)
    assert records.find("r1") == ("shard-00000.arrow", 1)
    assert records.find("corpus/r4") == ("shard-00001.arrow", 1)


@pytest.mark.parametrize("name", ["r2", "corpus/r2", "other/r1", "corpus/r1/r1"])
def test_a_row_of_another_record_than_the_one_that_is_meant_is_refused(store_dir, name):
    read = StoredRecords(store_dir).read
    assert read("shard-00000.arrow", 1, "r1").record_id == "r1"
    assert read("shard-00000.arrow", 1, "corpus/r1").record_id == "r1"
    with pytest.raises(StoreError, match=rf"row 1 is record corpus/r1, not {name}: the store was built anew"):
        read("shard-00000.arrow", 1, name)


def test_what_is_not_there_is_refused_by_name(store_dir, tmp_path):
    records = StoredRecords(store_dir)
    with pytest.raises(StoreError, match="there is no record 'r10'; did you mean r1"):
        records.find("r10")
    with pytest.raises(StoreError, match="there is no record 'other/r1'"):
        records.find("other/r1")
    with pytest.raises(StoreError, match=r"shard-00001\.arrow: there is no row 2, only 2 rows"):
        records.read("shard-00001.arrow", 2)
    with pytest.raises(StoreError, match=r"there is no shard 'shard-00009\.arrow'"):
        records.read("shard-00009.arrow", 0)


def test_an_id_that_two_sources_have_wants_its_source(store_dir, rows):
    rows[4].source, rows[4].record_id = "second", "r1"
    write_shard(store_dir / "shard-00002.arrow", rows[4:])
    records = StoredRecords(store_dir)
    with pytest.raises(StoreError, match="several records 'r1': name one of corpus/r1, second/r1"):
        records.find("r1")
    assert records.find("second/r1") == ("shard-00002.arrow", 0)
