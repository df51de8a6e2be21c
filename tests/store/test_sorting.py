"""Sorting records on disk."""

import random
import subprocess
import sys
import weakref
from dataclasses import replace

import pytest

from fairseq_signals.errors import StoreError
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.sorting import write_spool


def make_items(n=50):
    return [Item(f"s{i % 3}", f"r{i:03d}", f"/data/r{i}.hea", str(i), age=float(i)) for i in range(n)]


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 50])
def test_records_come_back_sorted_in_chunks(tmp_path, n):
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


def test_neither_order_nor_the_length_of_chunks_nor_the_place_of_files_changes_the_fingerprint(tmp_path):
    items = make_items()
    first = write_spool(items, tmp_path / "a", 7).fingerprint
    moved = [Item(i.source, i.record_id, i.path.replace("data", "disk"), i.digest, age=i.age) for i in items]
    assert write_spool(moved[::-1], tmp_path / "b", 9).fingerprint == first
    changed = [*items[:-1], Item("s1", "r049", "/data/r49.hea", "49", age=50.0)]
    assert write_spool(changed, tmp_path / "c", 7).fingerprint != first


def test_one_record_is_held_at_a_time(tmp_path):
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
    assert most <= 2  # and the one that is made


def test_two_records_of_one_name_are_an_error_and_leave_nothing(tmp_path):
    items = [*make_items(20), Item("s1", "r001", "/elsewhere/r1.hea")]
    with pytest.raises(
        StoreError, match=r"/data/r1\.hea and /elsewhere/r1\.hea would both be record s1/r001"
    ):
        write_spool(items, tmp_path / "spool", 5)
    assert not list(tmp_path.glob("spool?*"))


def test_names_are_sorted_by_code_point_and_escaped_where_they_are_not_utf_8(tmp_path):
    names = ["r", "r1", "rZ", "r\0", "r\udcff", "ra", "r\u00e9", "r\uff5e", "r\U0001f600"]
    items = [
        Item("s", name, f"/data/{name}.hea", codes=("1",), attributes=(("a", "\udc80"),)) for name in names
    ]
    (chunk,) = write_spool(items[::-1], tmp_path / "a spool%3f\udcff", 20).chunks
    escaped = {"r\0": r"r\x00", "r\udcff": r"r\xff"}
    named = [replace(item, record_id=escaped.get(item.record_id, item.record_id)) for item in items]
    assert chunk.items() == named


def test_a_disk_that_is_full_is_an_error_that_names_the_file(tmp_path):
    code = f"""
import resource
from pathlib import Path
from fairseq_signals.store.conversion import Item
from fairseq_signals.store.sorting import write_spool
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
write_spool((Item("s", str(i), "/data/r.hea") for i in range(100_000)), Path({str(tmp_path)!r}, "spool"), 7)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"StoreError: {tmp_path / 'spool'}: cannot be written (" in run.stderr


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
