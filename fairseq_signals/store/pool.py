"""Where the shards of a store are made: in this process, in a pool of processes, or on a Dask cluster.

All three are a `concurrent.futures.Executor`, so that what uses them is the same code. Not joblib,
which leaves shards half written where the disk is full.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable

from fairseq_signals.errors import StoreError, optional_library

_CONNECT_SECONDS = 30
_CLUSTER_BACKLOG = 1000  # calls that wait on a cluster, of whose size nothing is known here


class Pool:
    """An executor, and how many calls it should have at hand.

    Args:
        executor: what runs the calls.
        backlog: calls that are submitted before one of them is done.
    """

    def __init__(self, executor: Executor, backlog: int) -> None:
        self.executor, self.backlog = executor, backlog

    def run(self, function: Callable[..., int], calls: Iterable[tuple]) -> Iterator[int]:
        """The results of `function` called with each tuple of arguments, as they come.

        After an error no further call is begun; closing the pool waits for those that are running.
        """
        pending: set[Future] = set()
        try:
            for arguments in calls:
                pending.add(self.executor.submit(function, *arguments))
                if len(pending) >= self.backlog:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in pending:
                future.cancel()


@contextlib.contextmanager
def open_pool(workers: int, scheduler: str | None = None) -> Iterator[Pool]:
    """A place to make shards.

    Args:
        workers: processes on this machine; with 1, this one does the work.
        scheduler: address of a Dask scheduler, such as `tcp://host:8786`, whose workers do it instead.

    Raises:
        StoreError: no scheduler answers, or workers died.
        MissingLibraryError: a scheduler was given, but `distributed` is not installed.
    """
    if scheduler is not None:
        with _cluster(scheduler) as pool:
            yield pool
    elif workers > 1:
        with _processes(workers) as pool:
            yield pool
    else:
        yield Pool(_Here(), backlog=1)


class _Here(Executor):
    """Calls at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as e:
            future.set_exception(e)
        return future


class _Processes(ProcessPoolExecutor):
    """A pool whose calls fail alike when a worker was killed, and when the server that starts them was."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        try:
            return super().submit(fn, *args, **kwargs)
        except (EOFError, ConnectionError) as e:
            raise BrokenProcessPool(str(e)) from e


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[Pool]:
    import multiprocessing

    # A clean server process forks the workers: quick, and safe whatever threads this process has.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fairseq_signals.store.building"])
    try:
        with _Processes(workers, mp_context=context, initializer=_end_with_parent) as executor:
            yield Pool(executor, backlog=4 * workers)
    except BrokenProcessPool as e:
        raise StoreError(
            "a worker process was killed, perhaps for want of memory. Run the same command again with "
            "fewer --workers: it goes on where it stopped."
        ) from e


def _end_with_parent() -> None:
    """In a worker: end at once when the main process is gone, so that nothing is written behind its back."""
    import multiprocessing
    import os
    import threading
    from multiprocessing.connection import wait as wait_for

    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            wait_for([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[Pool]:
    distributed: Any = optional_library("distributed", "--scheduler", "cluster")
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as e:
        raise StoreError(
            f"--scheduler: no Dask scheduler answers at {address} ({e}). Start one with `dask scheduler`, "
            f"and its workers with `dask worker {address}`."
        ) from e
    with client:
        try:
            with client.get_executor() as executor:
                yield Pool(executor, backlog=_CLUSTER_BACKLOG)
        except (distributed.KilledWorker, CancelledError, distributed.comm.CommClosedError) as e:
            raise StoreError(
                f"--scheduler: workers at {address} were killed, or the scheduler was lost "
                f"({type(e).__name__}). When they are up, run the same command again: it goes on."
            ) from e
