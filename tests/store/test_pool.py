"""Where shards are made: here, in processes, or on a Dask cluster."""

import os
import sys

import pytest

from fairseq_signals.commands.store_arguments import add_store_arguments, build_from_arguments
from fairseq_signals.errors import MissingLibraryError, StoreError
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import BuildOptions, iter_folder
from fairseq_signals.store.pool import open_pool


def double(number):
    return 2 * number


def fail_at_three(number):
    if number == 3:
        raise StoreError("three")
    return number


def die(number):
    os._exit(1)


@pytest.fixture(params=["here", "processes", "cluster"])
def place(request):
    """Arguments of `open_pool` for each kind of pool."""
    if request.param == "cluster":
        return 1, request.getfixturevalue("cluster")
    return (1 if request.param == "here" else 2), None


@pytest.fixture
def corpus(tmp_path, write_wfdb, ecg_adu):
    """Nine records of 6 s, one of them truncated."""
    for i in range(9):
        write_wfdb(tmp_path / "corpus", f"r{i}", ecg_adu(seed=i), fs=400 if i == 2 else 500)
    (tmp_path / "corpus" / "r7.dat").write_bytes(b"\x01\x00" * 100)
    return tmp_path / "corpus"


def test_every_call_is_made_once(place):
    with open_pool(*place) as pool:
        assert sorted(pool.run(double, ((i,) for i in range(20)))) == list(range(0, 40, 2))


def test_an_error_of_a_call_comes_through_and_ends_the_run(place):
    with pytest.raises(StoreError, match=r"^three$"), open_pool(*place) as pool:
        list(pool.run(fail_at_three, ((i,) for i in range(10**6))))


def test_calls_are_made_as_results_are_taken_not_all_at_once():
    taken = []
    with open_pool(1) as pool:
        results = pool.run(double, ((taken.append(i) or i,) for i in range(100)))
        next(results)
        assert len(taken) == 1
        results.close()


def test_a_worker_that_dies_is_an_error_that_says_what_to_do():
    with (
        pytest.raises(StoreError, match=r"a worker process was killed.*fewer --workers"),
        open_pool(2) as pool,
    ):
        list(pool.run(die, [(1,)]))


def test_a_killed_server_of_worker_processes_is_the_same_error(monkeypatch):
    def gone(*arguments):
        raise EOFError("unexpected EOF")

    monkeypatch.setattr("multiprocessing.forkserver.connect_to_new_process", gone)
    with pytest.raises(StoreError, match="a worker process was killed"), open_pool(2) as pool:
        list(pool.run(double, [(1,)]))


@pytest.mark.parametrize("codec", ["int16", "flac"])
def test_a_cluster_makes_the_same_store_as_this_process(corpus, tmp_path, cluster, snapshot, codec):
    options = BuildOptions(records_per_shard=2, codec=codec)
    build_store(iter_folder(corpus, "c"), tmp_path / "here", options, 1, progress=False)
    summary = build_store(
        iter_folder(corpus, "c"), tmp_path / "there", options, progress=False, scheduler=cluster
    )
    assert (summary.n_kept, summary.n_items) == (8, 9)
    assert snapshot(tmp_path / "here") == snapshot(tmp_path / "there")


def test_what_a_cluster_left_unfinished_is_finished_here(corpus, tmp_path, cluster, snapshot):
    options = BuildOptions(records_per_shard=2)
    build_store(iter_folder(corpus, "c"), tmp_path / "store", options, progress=False, scheduler=cluster)
    expected = snapshot(tmp_path / "store")
    (tmp_path / "store" / "shard-00001.arrow").unlink()
    build_store(iter_folder(corpus, "c"), tmp_path / "store", options, 1, progress=False)
    assert snapshot(tmp_path / "store") == expected


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("fairseq_signals.store.pool._CONNECT_SECONDS", 0.2)
    pool = open_pool(1, "tcp://127.0.0.1:1")
    with pytest.raises(
        StoreError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 .*dask scheduler"
    ):
        pool.__enter__()


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    pool = open_pool(1, "tcp://127.0.0.1:1")
    with pytest.raises(MissingLibraryError, match=r"pip install 'fairseq-signals\[cluster\]'"):
        pool.__enter__()


def test_workers_of_this_machine_and_a_scheduler_contradict_each_other(tmp_path):
    import argparse

    parser = argparse.ArgumentParser()
    add_store_arguments(parser)
    args = parser.parse_args(["--dest", str(tmp_path), "--workers", "2", "--scheduler", "tcp://h:1"])
    with pytest.raises(StoreError, match="leave it out with --scheduler"):
        build_from_arguments([], args)
