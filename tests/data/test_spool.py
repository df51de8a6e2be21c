"""Sorting records on disk."""

import random
import weakref
from dataclasses import replace

import pytest

from fairseq_signals.data import spool
from fairseq_signals.data.rows import Item
from fairseq_signals.data.spool import write_spool
from fairseq_signals.errors import StoreError


def make_items(n=50):
    return [Item(f"s{i % 3}", f"r{i:03d}", f"/data/r{i}.hea", str(i), age=float(i)) for i in range(n)]


@pytest.fixture
def small_runs(monkeypatch):
    """Runs of 4 records, merged two at a time."""
    monkeypatch.setattr(spool, "RUN_LENGTH", 4)
    monkeypatch.setattr(spool, "_MERGE_WIDTH", 2)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 50])
def test_records_come_back_sorted_in_chunks(tmp_path, small_runs, n):
    items = make_items(n)
    random.Random(0).shuffle(items)
    found = write_spool(iter(items), tmp_path / "spool", 7)
    chunks = [chunk.items() for chunk in found.chunks]
    assert [item for chunk in chunks for item in chunk] == sorted(
        items, key=lambda i: (i.source, i.record_id)
    )
    assert all(len(chunk) == 7 for chunk in chunks[:-1])
    assert [chunk.n_items for chunk in found.chunks] == [len(chunk) for chunk in chunks]
    assert found.n_items == n
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]


def test_neither_order_nor_the_length_of_runs_nor_the_place_of_files_changes_the_fingerprint(
    tmp_path, monkeypatch
):
    items = make_items()
    first = write_spool(items, tmp_path / "a", 7).fingerprint
    monkeypatch.setattr(spool, "RUN_LENGTH", 3)
    moved = [Item(i.source, i.record_id, i.path.replace("data", "disk"), i.digest, age=i.age) for i in items]
    assert write_spool(moved[::-1], tmp_path / "b", 9).fingerprint == first
    changed = [*items[:-1], Item("s1", "r049", "/data/r49.hea", "49", age=50.0)]
    assert write_spool(changed, tmp_path / "c", 7).fingerprint != first


def test_no_more_than_a_run_of_records_is_held_at_a_time(tmp_path, small_runs):
    references, most = [], 0

    def listed():
        nonlocal most
        for item in make_items(100):
            copy = replace(item)
            references.append(weakref.ref(copy))
            yield copy
            del copy
            most = max(most, sum(reference() is not None for reference in references))

    write_spool(listed(), tmp_path / "spool", 10)
    assert most <= spool.RUN_LENGTH + 1


def test_two_records_of_one_name_are_an_error_and_leave_nothing(tmp_path, small_runs):
    items = [*make_items(20), Item("s1", "r001", "/elsewhere/r1.hea")]
    with pytest.raises(
        StoreError, match=r"/data/r1\.hea and /elsewhere/r1\.hea would both be record s1/r001"
    ):
        write_spool(items, tmp_path / "spool", 5)
    assert not list(tmp_path.glob("spool.*"))


def test_a_rejected_record_may_have_the_name_of_a_kept_one(tmp_path):
    twin = Item("s1", "r001", "/elsewhere/r1.hea", rejected="has the same name")
    assert write_spool([*make_items(3), twin], tmp_path / "spool", 5).n_items == 4


def test_a_chunk_of_a_run_that_has_ended_is_an_error(tmp_path):
    (chunk,) = write_spool(make_items(3), tmp_path / "spool", 5).chunks
    assert chunk.is_there()
    (tmp_path / "spool").unlink()
    assert not chunk.is_there()
    with pytest.raises(StoreError, match="the run that this shard belongs to has ended"):
        chunk.items()
