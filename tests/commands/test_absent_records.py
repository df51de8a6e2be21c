"""Reporting what was not downloaded."""

import pytest

from fairseq_signals.commands.absent_records import absent_from_list, not_downloaded, sizes, without_absent
from fairseq_signals.errors import REASONS, StoreError
from fairseq_signals.store.conversion import Item


def test_records_that_were_not_downloaded_are_rejected_or_left_out_with_their_number(tmp_path, capsys):
    there = Item("c", "r1", "r1.hea")
    (tmp_path / "t.csv").touch()
    absent = [not_downloaded("c", f"r{i}", tmp_path, f"data/r{i}.hea", "t.csv") for i in (2, 3)]
    assert {item.rejected_kind for item in absent} <= REASONS.keys()
    assert absent[0].rejected.startswith("t.csv lists it, but data/r2.hea is not there.")
    assert str(tmp_path) not in absent[0].rejected  # the store is the same wherever the corpus lies
    other = Item("c", "r4", "r4.hea", rejected="why", rejected_kind="truncated")
    assert list(without_absent([absent[0], there, absent[1], other])) == [there, other]
    assert "2 records are in the tables and not on disk; left out (first: r2)" in capsys.readouterr().err
    assert list(without_absent([there])) == [there]
    assert not capsys.readouterr().err


def test_a_list_of_records_tells_what_is_not_there(tmp_path):
    assert absent_from_list(tmp_path, "c", set()) == []
    (tmp_path / "RECORDS").write_text("a/1\na/2\na/2\n")
    assert [item.record_id for item in absent_from_list(tmp_path, "c", {"a/1"})] == ["a/2"]
    (tmp_path / "RECORDS").write_bytes(b"\xff")
    with pytest.raises(StoreError, match="RECORDS: the list of records cannot be read"):
        absent_from_list(tmp_path, "c", set())


def test_sizes_tell_absent_files_from_changed_ones(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert sizes(str(tmp_path / "a"), str(tmp_path / "b")) == "3 -"
