"""Inputs that are not available for a while: the next run takes them, and makes nothing else again."""

import errno
import json
import os

import pytest

from fairseq_signals.commands.absent_records import NOT_DOWNLOADED, join_listed
from fairseq_signals.commands.preprocess_folder import folder_script
from fairseq_signals.errors import UNAVAILABLE, StoreError
from fairseq_signals.formats.registry import read_with
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import BuildOptions, Item, iter_folder
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.record_table import RecordTable
from manifests import pretrain

N, LOST = 6, 3


@pytest.fixture
def root(tmp_path, write_wfdb, ecg_adu):
    for i in range(N):
        write_wfdb(tmp_path / "raw" / "a", f"r{i}", ecg_adu(2, 3000, seed=i), ["I", "II"])
    return tmp_path / "raw"


@pytest.fixture
def build(root, tmp_path):
    """`build(name="s")`: what a run over the folder gives."""

    def run(name="s"):
        options = BuildOptions(records_per_shard=2)
        return build_store(iter_folder(root, "x"), tmp_path / name, options, workers=1, progress=False)

    return run


@pytest.fixture
def reading(monkeypatch):
    """`reading(break_it)`: call it before the record of each path is read."""

    def patch(break_it):
        def read(name, path, *rest):
            break_it(path)
            return read_with(name, path, *rest)

        monkeypatch.setattr("fairseq_signals.store.conversion.read_with", read)

    return patch


def state(dest):
    return json.loads((dest / "store.json").read_text())


def assert_as_if_nothing_had_been(build, tmp_path, snapshot, kept_shards):
    """The next run makes the store of one to which nothing happened; shards that lack nothing stay."""
    before = {name: os.stat(tmp_path / "s" / name).st_ino for name in kept_shards}
    assert build().n_kept == N
    assert build("unbroken").n_kept == N
    assert snapshot(tmp_path / "s") == snapshot(tmp_path / "unbroken")
    assert {name: os.stat(tmp_path / "s" / name).st_ino for name in kept_shards} == before


def test_a_folder_that_vanishes_while_it_is_read_is_taken_by_the_next_run(
    root, build, tmp_path, reading, snapshot
):
    reading(lambda path: path.name == "r3.hea" and root.rename(tmp_path / "gone"))
    summary = build()
    assert (summary.n_kept, summary.n_unavailable) == (3, 3)
    assert "No such file or directory (r3.hea)" in (tmp_path / "s" / "rejected.tsv").read_text()
    assert (state(tmp_path / "s")["complete"], len(RecordStore(tmp_path / "s"))) == (False, 3)
    reading(lambda path: None)
    (tmp_path / "gone").rename(root)
    assert_as_if_nothing_had_been(build, tmp_path, snapshot, ["shard-00000.arrow"])
    assert state(tmp_path / "s")["complete"]


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EIO, "Input/output error"), OSError(errno.EMFILE, "Too many open files")],
)
def test_what_fails_outside_of_a_file_is_not_its_fault_and_tried_again(
    build, tmp_path, reading, snapshot, error
):
    def broken(path):
        if path.name == "r2.hea":
            raise error

    reading(broken)
    assert build().counts == {"rejected not available": 1}
    reading(lambda path: None)
    assert_as_if_nothing_had_been(build, tmp_path, snapshot, ["shard-00000.arrow", "shard-00002.arrow"])


def test_signal_files_and_folders_that_come_back_are_taken_but_none_may_go(root, build, tmp_path, snapshot):
    (root / "a" / "r4.dat").rename(tmp_path / "r4.dat")
    assert build().counts == {"rejected without a signal file": 1}
    (root / "a" / "r0.hea").rename(tmp_path / "r0.hea")
    (root / "a" / "r0.dat").rename(tmp_path / "r0.dat")
    with pytest.raises(StoreError, match="records was 6 and is now 5"):
        build()
    (tmp_path / "r0.hea").rename(root / "a" / "r0.hea")
    (tmp_path / "r0.dat").rename(root / "a" / "r0.dat")
    (tmp_path / "r4.dat").rename(root / "a" / "r4.dat")
    assert_as_if_nothing_had_been(build, tmp_path, snapshot, ["shard-00000.arrow", "shard-00001.arrow"])


def test_a_complete_store_is_never_changed_by_inputs_that_change(root, build, write_wfdb, ecg_adu):
    build()
    write_wfdb(root / "a", "new", ecg_adu(2, 3000), ["I", "II"])
    with pytest.raises(StoreError, match="Pass --overwrite"):
        build()


@pytest.mark.parametrize(("n_lost", "code"), [(LOST, 0), (LOST + 1, 1)])
def test_a_run_without_most_of_its_records_fails_and_manifests_tell_of_what_is_lacking(
    root, tmp_path, capsys, n_lost, code
):
    for i in range(n_lost):
        (root / "a" / f"r{i}.dat").unlink()
    store = str(tmp_path / "s")
    preprocess = folder_script("", "wfdb")
    assert preprocess([str(root), "--source=x", "--workers=1", "--dest", store]) == code
    assert f"is not complete: {n_lost} of 6 records were not available" in capsys.readouterr().err
    assert pretrain.main([store, "--dest", str(tmp_path / "m"), "--no-exclusions"]) == 0
    assert f"{n_lost} records were not available when it was made" in capsys.readouterr().out


def test_what_a_table_lists_in_a_folder_that_is_not_available_is_not_available_either(tmp_path):
    lost = Item("s", "sub", str(tmp_path / "sub"), rejected="no", rejected_kind=UNAVAILABLE)
    table = RecordTable(tmp_path / "t.csv", {"sub": {}, "sub/a": {}, "b": {}})

    def kinds():
        items = join_listed([lost], table, "s", tmp_path, lambda name: f"{name}.hea")
        return [item.rejected_kind for item in items]

    table.path.touch()
    assert kinds() == [UNAVAILABLE, UNAVAILABLE, NOT_DOWNLOADED]
    table.path.unlink()  # all of the folder is gone
    assert kinds() == [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]
