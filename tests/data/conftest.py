"""Fixtures of the record store's tests."""

import pytest


@pytest.fixture(scope="session")
def cluster():
    """The address of a Dask scheduler with two worker processes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made.scheduler_address


@pytest.fixture
def snapshot():
    """`snapshot(folder)`: the content of each of its files by name, hidden ones included."""

    def take(folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    return take
